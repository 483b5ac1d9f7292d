import { blend, ellipse, type Polygon, type Rgb, rectangle } from "./paint.js";
import type { Colour, Kind } from "./scene.js";

/** What a part is painted with: shades of the object's colour, or a colour that this part always has. */
export type Paint = "main" | "dark" | "light" | Rgb;

/** Parts in the order of painting, in a square from -10 to 10 in x and y, y downwards. */
export type Drawing = readonly (readonly [Paint, Polygon])[];

const INK: Rgb = [45, 38, 50];
const WHITE: Rgb = [255, 255, 255];
const CREAM: Rgb = [250, 236, 208];
const BEAK: Rgb = [240, 150, 60];
const BARK: Rgb = [125, 85, 60];
const STALK: Rgb = [60, 150, 70];
const STRING: Rgb = [150, 140, 150];
const GLASS: Rgb = [205, 235, 250];

const COLOUR: Readonly<Record<Colour, Rgb>> = {
  red: [222, 38, 44],
  orange: [248, 134, 24],
  yellow: [252, 214, 40],
  green: [26, 146, 70],
  blue: [40, 100, 220],
  purple: [142, 62, 180],
};

export function shade(paint: Paint, colour: Colour): Rgb {
  if (paint === "main") return COLOUR[colour];
  if (paint === "dark") return blend(COLOUR[colour], INK, 2);
  if (paint === "light") return blend(COLOUR[colour], WHITE, 3);
  return paint;
}

/** The line around an object. */
export function outline(colour: Colour): Rgb {
  return blend(COLOUR[colour], INK, 6);
}

const eye = (x: number, y: number): readonly [Paint, Polygon] => [INK, ellipse(x, y, 0.8, 0.9)];
const wheel = (x: number): Drawing => [
  [INK, ellipse(x, 5.6, 3, 3)],
  [WHITE, ellipse(x, 5.6, 1.2, 1.2)],
];
const mirrored = (polygon: Polygon): Polygon => polygon.map((value, i) => (i % 2 === 0 ? -value : value));

const EAR = [-6.5, -9.5, -1, -6, -5.8, -2.5];
const LONG_EAR = ellipse(-2.6, -6.4, 1.6, 3.8);
const PETALS = [
  [0, -7.2],
  [4, -4.3],
  [2.5, 0.3],
  [-2.5, 0.3],
  [-4, -4.3],
] as const;

export const DRAWINGS: Readonly<Record<Kind, Drawing>> = {
  cat: [
    ["dark", [4, 8.5, 8.2, 7, 9.6, 2, 8, -1.5, 6.6, -0.5, 7.4, 2.5, 6.2, 5, 3, 6]],
    ["main", ellipse(0, 4.6, 5.4, 5.4)],
    ["light", ellipse(0, 6, 2.8, 3.6)],
    ["main", EAR],
    ["main", mirrored(EAR)],
    ["main", ellipse(0, -3.6, 6, 4.8)],
    eye(-2.4, -4),
    eye(2.4, -4),
    [WHITE, ellipse(0, -1.6, 1.8, 1.2)],
  ],
  rabbit: [
    [WHITE, ellipse(6, 6.6, 2.2, 2.2)],
    ["main", ellipse(0.6, 5, 5.6, 5)],
    ["main", LONG_EAR],
    ["main", mirrored(LONG_EAR)],
    ["light", ellipse(-2.6, -6.2, 0.7, 2.6)],
    ["light", ellipse(2.6, -6.2, 0.7, 2.6)],
    ["main", ellipse(0, -0.8, 4.2, 3.6)],
    eye(-1.7, -1.2),
    eye(1.7, -1.2),
    [WHITE, ellipse(0, 0.9, 1.4, 0.9)],
    ["light", ellipse(0.4, 6.6, 2.8, 2.8)],
  ],
  duck: [
    [BEAK, [5, -5.2, 10, -3.6, 5, -1.8]],
    ["main", [-10, -1.5, -5, 1, 2, 1, 2, 8, -4, 8, -8, 5]],
    ["main", ellipse(-0.4, 4, 8, 5.4)],
    ["main", ellipse(3.4, -4, 4.2, 4.4)],
    ["dark", ellipse(-2, 3.6, 4, 2.6)],
    eye(4.4, -4.8),
  ],
  car: [
    ["main", [-5.6, 0, -3.6, -5.5, 4, -5.5, 6.6, 0]],
    [GLASS, [-4, -0.4, -2.8, -4.2, 0, -4.2, 0, -0.4]],
    [GLASS, [1.2, -0.4, 1.2, -4.2, 3.4, -4.2, 5, -0.4]],
    ["main", [-9.5, 0.4, -8, -0.8, 8, -0.8, 9.7, 1.2, 9.7, 5.4, -9.5, 5.4]],
    ["dark", rectangle(-9.5, 3.2, 19.2, 2.2)],
    ...wheel(-5.2),
    ...wheel(5.2),
  ],
  boat: [
    [BARK, rectangle(-0.4, -9.5, 0.8, 14)],
    [WHITE, [-1.4, -8, -1.4, 2.2, -7.6, 2.2]],
    ["light", [1.4, -9.4, 1.4, 2.2, 8.6, 2.2]],
    ["main", [-9.8, 3.6, 9.8, 3.6, 6.4, 9, -6.4, 9]],
    ["dark", [-9.8, 3.6, 9.8, 3.6, 8.8, 5.2, -8.8, 5.2]],
  ],
  house: [
    ["dark", rectangle(3.4, -9, 2.8, 6)],
    ["main", rectangle(-7, -2, 14, 11.4)],
    ["dark", [0, -9.6, 9.8, -0.8, -9.8, -0.8]],
    [GLASS, rectangle(-5, 1.4, 4, 4)],
    [CREAM, rectangle(1.4, 2.2, 4, 7.2)],
  ],
  tree: [
    [BARK, rectangle(-1.5, 5, 3, 4.8)],
    ["dark", [0, -3, 8, 6.6, -8, 6.6]],
    ["main", [0, -6.8, 6.6, 2.2, -6.6, 2.2]],
    ["light", [0, -9.8, 5, -2.2, -5, -2.2]],
  ],
  flower: [
    [STALK, rectangle(-0.8, 0, 1.6, 9.8)],
    [STALK, [0, 9.4, 1.4, 6, 6.4, 4.4, 5, 8]],
    [STALK, [0, 9.4, -1.4, 6, -6.4, 4.4, -5, 8]],
    ...PETALS.map(([x, y]) => ["main", ellipse(x, y, 3, 3)] as const),
    [CREAM, ellipse(0, -3, 2.3, 2.3)],
  ],
  mushroom: [
    [CREAM, [-3, 0, 3, 0, 4.2, 9.4, -4.2, 9.4]],
    ["main", [-9.6, 1.6, -8.8, -3.4, -5.6, -7.6, 0, -9.4, 5.6, -7.6, 8.8, -3.4, 9.6, 1.6]],
    [WHITE, ellipse(-4.6, -2.4, 1.7, 1.7)],
    [WHITE, ellipse(0.8, -5.6, 1.7, 1.5)],
    [WHITE, ellipse(5, -1.4, 1.6, 1.6)],
  ],
  balloon: [
    [STRING, [-0.3, 3, 0.3, 3, 0.9, 6, 0.3, 9.6, -0.3, 9.6, 0.3, 6]],
    ["main", [0, 1.6, 1.8, 4.8, -1.8, 4.8]],
    ["main", ellipse(0, -3.4, 6, 6.6)],
    ["light", ellipse(-2.2, -5.8, 1.5, 2.2)],
  ],
};
