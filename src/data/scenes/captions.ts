import { randomStream } from "./random.js";
import { type Background, COLOURS, KINDS, type Relation, type Scene, type SceneObject, SIZES } from "./scene.js";

type Direction = "left" | "right" | "above" | "below";

const DIRECTION: Readonly<Record<Relation, Direction>> = { "left of": "left", above: "above" };
const OPPOSITE: Readonly<Record<Direction, Direction>> = {
  left: "right",
  right: "left",
  above: "below",
  below: "above",
};

const PLACES: Readonly<Record<Background, readonly string[]>> = {
  meadow: ["on the meadow", "in the grass"],
  beach: ["at the beach", "on the sand"],
  snow: ["in the snow", "in winter"],
  night: ["at night", "under the moon"],
  room: ["in a room", "on the floor"],
};

/**
 * The forms of a sentence, for writing and for reading: {a} and {b} are the objects, {of} says where a is from b ("left
 * of", "above") and {its} where b is from a ("to its right", "below it").
 */
const FORMS = {
  is: "{a} is {of} {b}",
  there: "there is {a} {of} {b}",
  fronted: "{of} {b} is {a}",
  has: "{a} has {b} {its}",
  see: "we can see {a} {of} {b}",
  shows: "the picture shows {a} {of} {b}",
} as const;

/**
 * Five differently worded, true descriptions of at most 16 words, which name both objects with their colours and the
 * relation; some also say sizes and the place. Every one is `right` by `checkCaption`.
 */
export function sceneCaptions(scene: Scene): readonly string[] {
  const below = randomStream(scene.detail, 1);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const [a, b] = scene.objects;
  const direction = DIRECTION[scene.relation];
  const place = pick(PLACES[scene.background]);
  const write = (form: keyof typeof FORMS, sized: boolean, inverse = false) => {
    const [first, second, where] = inverse ? [b, a, OPPOSITE[direction]] : [a, b, direction];
    return FORMS[form]
      .replace("{a}", nounPhrase(first, sized))
      .replace("{b}", nounPhrase(second, sized))
      .replace("{of}", pick(positions(where)))
      .replace("{its}", sideOf(OPPOSITE[where]));
  };
  return [
    write("is", false),
    write("has", pick([false, true])),
    `${write("there", false, true)}${pick(["", ` ${place}`])}`,
    `${place}, ${write("is", true)}`,
    write(pick(["see", "shows", "fronted"]), pick([false, true])),
  ].map((text) => `${text[0]!.toUpperCase()}${text.slice(1)}.`);
}

function nounPhrase({ size, colour, kind }: SceneObject, sized: boolean): string {
  const words = sized ? `${size} ${colour} ${kind}` : `${colour} ${kind}`;
  return `${words.startsWith("o") ? "an" : "a"} ${words}`;
}

function positions(where: Direction): readonly string[] {
  return where === "left" || where === "right" ? [`${where} of`, `to the ${where} of`] : [where];
}

function sideOf(where: Direction): string {
  return where === "left" || where === "right" ? `to its ${where}` : `${where} it`;
}

/** What of a caption is true. */
export interface Verdict {
  /** It names the two kinds. */
  readonly objects: boolean;
  /** It names the two kinds in their colours. */
  readonly colours: boolean;
  /** The objects of these kinds (and colours, if these are right) stand in the relation that it says. */
  readonly relation: boolean;
  /** All of that, and the sizes and the place if it says any. */
  readonly right: boolean;
}

const NOTHING: Verdict = { objects: false, colours: false, relation: false, right: false };

/**
 * Judges a caption by the scene itself. The language is that of `sceneCaptions` with any of its forms in either order
 * of the objects, definite articles, "on the left of", and sizes and places anywhere; capitals and the full stop
 * do not matter. Of a text that is not in the language nothing is true.
 */
export function checkCaption(caption: string, scene: Scene): Verdict {
  const said = parse(caption);
  if (said === undefined) return NOTHING;
  const [a, b] = scene.objects;
  const direction = DIRECTION[scene.relation];
  const straight = compare(said, a, b, direction, scene);
  const swapped = compare(said, b, a, OPPOSITE[direction], scene);
  return score(swapped) > score(straight) ? swapped : straight;
}

/** Which of the two objects is meant by which words: those that fit better, kinds first, then colours. */
function score({ objects, colours, relation }: Verdict): number {
  return (objects ? 4 : 0) + (colours ? 2 : 0) + (relation ? 1 : 0);
}

function compare(said: Meaning, a: SceneObject, b: SceneObject, where: Direction, scene: Scene): Verdict {
  const objects = said.a.kind === a.kind && said.b.kind === b.kind;
  const colours = objects && said.a.colour === a.colour && said.b.colour === b.colour;
  const relation = objects && said.where === where;
  const sizes = [said.a.size ?? a.size, said.b.size ?? b.size];
  const extras =
    sizes[0] === a.size && sizes[1] === b.size && said.places.every((p) => PLACES[scene.background].includes(p));
  return { objects, colours, relation, right: colours && relation && extras };
}

interface Said {
  readonly size: string | undefined;
  readonly colour: string;
  readonly kind: string;
}

interface Meaning {
  readonly a: Said;
  readonly b: Said;
  /** Where a is from b. */
  readonly where: Direction;
  readonly places: readonly string[];
}

const PATTERNS = Object.values(FORMS).map(pattern);

function pattern(form: string): RegExp {
  const place = Object.values(PLACES).flat().join("|");
  const core = form
    .replace("{a}", nounPattern("a"))
    .replace("{b}", nounPattern("b"))
    .replace("{of}", "(?:(?:(?:to|on) the )?(?<side>left|right) of|(?<level>above|below))")
    .replace("{its}", "(?:(?:to|on) its (?<itsSide>left|right)|(?<itsLevel>above|below) it)");
  return new RegExp(`^(?:(?<before>${place}), )?${core}(?: (?<after>${place}))?\\.?$`);
}

function nounPattern(name: "a" | "b"): string {
  const one = (part: string, words: readonly string[]) => `(?<${name}${part}>${words.join("|")})`;
  return `(?:the|an(?= o)|a(?! o)) (?:${one("Size", SIZES)} )?${one("Colour", COLOURS)} ${one("Kind", KINDS)}`;
}

function parse(caption: string): Meaning | undefined {
  const text = caption.trim().toLowerCase();
  for (const form of PATTERNS) {
    const found = form.exec(text)?.groups;
    if (found === undefined) continue;
    const { side, level, itsSide, itsLevel, before, after } = found;
    const said = (side ?? level) as Direction | undefined;
    return {
      a: { size: found.aSize, colour: found.aColour!, kind: found.aKind! },
      b: { size: found.bSize, colour: found.bColour!, kind: found.bKind! },
      where: said ?? OPPOSITE[(itsSide ?? itsLevel) as Direction],
      places: [before, after].filter((place) => place !== undefined),
    };
  }
  return undefined;
}

/** Every word of `sceneCaptions`, lower case. */
export function captionWords(): readonly string[] {
  const directions = Object.keys(OPPOSITE) as Direction[];
  const phrases = [
    ...Object.values(FORMS).map((form) => form.replace(/\{\w+\}/g, "")),
    ...directions.flatMap((where) => [...positions(where), sideOf(where)]),
    ...Object.values(PLACES).flat(),
  ];
  const words = ["a", "an", ...SIZES, ...COLOURS, ...KINDS, ...phrases.flatMap((phrase) => phrase.split(" "))];
  return [...new Set(words.filter((word) => word !== ""))];
}

/** Words that begin a sentence of `sceneCaptions`, lower case. */
export function firstWords(): readonly string[] {
  const directions = Object.values(DIRECTION).flatMap(positions);
  const starts = [...Object.values(FORMS), ...directions, ...Object.values(PLACES).flat()];
  const words = starts.map((start) => start.split(" ")[0]!).filter((word) => !word.startsWith("{"));
  return [...new Set(["a", "an", ...words])];
}
