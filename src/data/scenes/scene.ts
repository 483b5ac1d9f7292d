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
export const RELATIONS = ["left of", "above"] as const;

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
/** Largest distance of their centres along the other axis; along the relation's it is at least 24. */
const SHIFT = 8;
/** Objects stand below this line, which is on the ground of every background. */
const GROUND = 22;

/**
 * Scene number `index` of the world `seed`, both 32-bit whole numbers; nothing else has an influence. There are 6.0 million
 * scenes even without counting details.
 */
export function makeScene(seed: number, index: number): Scene {
  const below = randomStream(seed, index);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const background = pick(BACKGROUNDS);
  const relation = pick(RELATIONS);
  const looks = below(KINDS.length * COLOURS.length);
  // Any of the 59 other looks.
  const others = (looks + 1 + below(KINDS.length * COLOURS.length - 1)) % (KINDS.length * COLOURS.length);
  const sizes = [pick(SIZES), pick(SIZES)] as const;
  const places = relation === "left of" ? sideBySide(sizes, below) : stacked(sizes, below);
  const object = (looks: number, i: 0 | 1): SceneObject => ({
    kind: KINDS[looks % KINDS.length]!,
    colour: COLOURS[Math.floor(looks / KINDS.length)]!,
    size: sizes[i],
    ...places[i],
  });
  return { background, objects: [object(looks, 0), object(others, 1)], relation, detail: below(2 ** 32) };
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

/** Centres along the other axis, at most SHIFT apart. */
function across([a, b]: readonly [Range, Range], below: Below): readonly [number, number] {
  const first = onGrid(a, a[0], below);
  return [first, onGrid([Math.max(b[0], first - SHIFT), Math.min(b[1], first + SHIFT)], b[0], below)];
}

/** One of the numbers in the range that are multiples of GRID away from `origin`. */
function onGrid([first, last]: Range, origin: number, below: Below): number {
  const lowest = Math.ceil((first - origin) / GRID);
  const highest = Math.floor((last - origin) / GRID);
  return origin + GRID * (lowest + below(highest - lowest + 1));
}
