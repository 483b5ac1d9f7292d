import { type Below, randomStream } from "./random.js";

export const KINDS = [
  "cat",
  "rabbit",
  "duck",
  "car",
  "boat",
  "house",
  "tree",
  "flower",
  "mushroom",
  "balloon",
] as const;
export const COLOURS = ["red", "orange", "yellow", "green", "blue", "purple"] as const;
export const SIZES = ["small", "big"] as const;
export const BACKGROUNDS = ["meadow", "beach", "snow", "night", "room"] as const;
/** Of the first object to the second. Objects are listed in reading order, so their opposites do not occur here. */
const RELATIONS = ["left of", "above"] as const;

export type Kind = (typeof KINDS)[number];
export type Colour = (typeof COLOURS)[number];
export type Size = (typeof SIZES)[number];
export type Background = (typeof BACKGROUNDS)[number];
export type Relation = (typeof RELATIONS)[number];

/** Lengths and places are in units of 1/64 of the picture's side, x to the right, y downwards. */
export interface SceneObject {
  readonly kind: Kind;
  readonly colour: Colour;
  readonly size: Size;
  /** Centre of the square, `SIDE[size]` wide, that the object fills. */
  readonly x: number;
  readonly y: number;
}

/** All that is to be seen, and the ground truth of captions. The two objects differ in kind or in colour. */
export interface Scene {
  readonly background: Background;
  readonly objects: readonly [SceneObject, SceneObject];
  readonly relation: Relation;
  /** Key of what no caption speaks of: clouds, tufts, stars and the like. */
  readonly detail: number;
}

/** Side of the picture in units. */
export const UNITS = 64;
export const SIDE: Readonly<Record<Size, number>> = { small: 20, big: 28 };

/**
 * Places are multiples of this apart, so a network that sees patches of 8 units meets each size of object in one position
 * relative to them and not in 64: it learns to tell shapes from some ten thousand pictures.
 */
const GRID = 8;
/** From the picture's edge to an object. */
const MARGIN = 2;
/** Least distance of the two objects along the axis of their relation. */
const GAP = 4;
/**
 * Largest distance of a centre from the picture's middle along the other axis, so that left, right, top and bottom are four
 * places: anywhere along that axis, 140,000 pictures taught a small CLIP the objects and nothing about the relation.
 */
const SHIFT = 6;
/** Objects stand below this line, which is on the ground of every background. */
const GROUND = 22;

/**
 * Scene number `index` of the world `seed`, both 32-bit whole numbers; nothing else has an influence. There are 1.3 million
 * scenes even without counting details. Scenes 2i and 2i + 1 are twins (`twins`).
 */
export function makeScene(seed: number, index: number): Scene {
  const below = randomStream(seed, index);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const { looks, arrangement } = twinOf(seed, index);
  const relation = RELATIONS[arrangement % 2]!;
  const [a, b] = arrangement < 2 ? looks : looks.toReversed();
  const sizes = [pick(SIZES), pick(SIZES)] as const;
  const places = relation === "left of" ? sideBySide(sizes, below) : stacked(sizes, below);
  const object = (look: number, i: 0 | 1): SceneObject => ({
    kind: KINDS[look % KINDS.length]!,
    colour: COLOURS[Math.floor(look / KINDS.length)]!,
    size: sizes[i],
    ...places[i],
  });
  return { background: pick(BACKGROUNDS), objects: [object(a!, 0), object(b!, 1)], relation, detail: below(2 ** 32) };
}

/** The same number for twins alone. */
export function twins(index: number): number {
  return index >>> 1;
}

/**
 * Twins show the same two objects in another of the four arrangements, so whoever tells them apart has understood the
 * relation: without them a contrastive loss is content with the objects, and the relation is never learnt.
 */
function twinOf(seed: number, index: number): { readonly looks: readonly number[]; readonly arrangement: number } {
  const below = randomStream(seed, twins(index), 1);
  const all = KINDS.length * COLOURS.length;
  const look = below(all);
  const looks = [look, (look + 1 + below(all - 1)) % all]; // any of the 59 others
  const first = below(4);
  const second = (first + 1 + below(3)) % 4;
  return { looks, arrangement: index % 2 === 0 ? first : second };
}

interface Place {
  readonly x: number;
  readonly y: number;
}

type Range = readonly [first: number, last: number];

function sideBySide(sizes: readonly [Size, Size], below: Below): readonly [Place, Place] {
  const [x0, x1] = along(sizes, MARGIN, below);
  const [y0, y1] = across(sizes.map(standing) as [Range, Range], below);
  return [
    { x: x0, y: y0 },
    { x: x1, y: y1 },
  ];
}

function stacked(sizes: readonly [Size, Size], below: Below): readonly [Place, Place] {
  const top = standing(sizes[0])[0] - SIDE[sizes[0]] / 2;
  const [y0, y1] = along(sizes, top, below);
  const inside = (size: Size): Range => [MARGIN + SIDE[size] / 2, UNITS - MARGIN - SIDE[size] / 2];
  const [x0, x1] = across(sizes.map(inside) as [Range, Range], below);
  return [
    { x: x0, y: y0 },
    { x: x1, y: y1 },
  ];
}

/** Centres in y of objects that are inside and stand on the ground. */
function standing(size: Size): Range {
  const half = SIDE[size] / 2;
  return [Math.max(MARGIN + half, GROUND - half), UNITS - MARGIN - half];
}

/** Centres along the relation's axis: what is left of the length is spread before, between and behind the objects. */
function along([a, b]: readonly [Size, Size], start: number, below: Below): readonly [number, number] {
  const free = UNITS - MARGIN - start - SIDE[a] - SIDE[b] - GAP;
  const before = onGrid([0, free], 0, below);
  const between = onGrid([0, free - before], 0, below);
  const first = start + before + SIDE[a] / 2;
  return [first, first + SIDE[a] / 2 + GAP + between + SIDE[b] / 2];
}

/** Centres along the other axis, near the middle. */
function across(inside: readonly [Range, Range], below: Below): readonly [number, number] {
  const near = ([first, last]: Range) =>
    onGrid([Math.max(first, UNITS / 2 - SHIFT), Math.min(last, UNITS / 2 + SHIFT)], first, below);
  return [near(inside[0]), near(inside[1])];
}

/** One of the numbers in the range that are multiples of GRID away from `origin`. */
function onGrid([first, last]: Range, origin: number, below: Below): number {
  const lowest = Math.ceil((first - origin) / GRID);
  const highest = Math.floor((last - origin) / GRID);
  return origin + GRID * (lowest + below(highest - lowest + 1));
}
