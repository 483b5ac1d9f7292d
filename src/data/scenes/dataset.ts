import { ClipCapError } from "../../runtime/errors.js";
import type { CaptionDataset, CaptionedImage, Split } from "../captions/dataset.js";
import { ProblemLog } from "../captions/problems.js";
import { sceneCaptions } from "./captions.js";
import { drawScene } from "./draw.js";
import { randomStream } from "./random.js";
import { BACKGROUNDS, COLOURS, KINDS, makeScene, type Scene, twins } from "./scene.js";

export interface SceneDatasetOptions {
  /** 32-bit whole number. */
  readonly seed: number;
  /** Numbers of scenes; at least one in all. */
  readonly train: number;
  readonly dev: number;
  readonly test: number;
  /** Side of the pictures in pixels. Default 64. */
  readonly size?: number;
}

/** A drawn picture together with the truth that captions are checked against. */
export interface SceneImage extends CaptionedImage {
  readonly scene: Scene;
}

export interface SceneDataset extends CaptionDataset {
  readonly images: readonly SceneImage[];
}

/**
 * Raised whenever a scene's pixels change, so that caches of what a model saw in them are not used any more, and no training
 * goes on with others.
 */
export const DRAWING_VERSION = 3;

/** Ten times what a training sees; a million take 0.8 GB. */
const MAX_SCENES = 1_000_000;

/**
 * Scenes as a data set, drawn when they are decoded. What a scene shows (all but its details) decides its split: a tenth
 * of all scenes is for "test", a tenth for "dev". So no scene is ever in two splits, whatever the numbers and the seeds.
 * @throws ClipCapError `bad-input`
 */
export function sceneDataset({ seed, size = 64, ...numbers }: SceneDatasetOptions): SceneDataset {
  const wanted: Record<Split, number> = { ...numbers };
  for (const [split, n] of Object.entries(wanted)) checkNumber(split, n);
  let missing = wanted.train + wanted.dev + wanted.test;
  checkNumber("all splits", missing);
  if (missing === 0)
    throw new ClipCapError("bad-input", "a data set of 0 scenes is empty; ask for at least one scene.");
  const images: SceneImage[] = [];
  for (let index = 0; missing > 0; index++) {
    const split = splitOf(makeScene(seed, index));
    if (wanted[split] === 0) continue;
    wanted[split]--;
    missing--;
    images.push(new DrawnScene(seed, index, split, size));
  }
  return { name: "scenes", format: "scenes", images, problems: new ProblemLog("scenes") };
}

function checkNumber(what: string, n: number): void {
  if (Number.isInteger(n) && n >= 0 && n <= MAX_SCENES) return;
  throw new ClipCapError("bad-input", `${n} scenes for ${what} is not a whole number from 0 to ${MAX_SCENES}.`);
}

export function splitOf({ background, objects }: Scene): Split {
  const seen = objects.flatMap(({ kind, colour, size, x, y }) => [
    KINDS.indexOf(kind),
    COLOURS.indexOf(colour),
    size === "big" ? 1 : 0,
    x,
    y,
  ]);
  const tenth = randomStream(BACKGROUNDS.indexOf(background), ...seen)(10);
  return tenth === 0 ? "test" : tenth === 1 ? "dev" : "train";
}

/** Scene and captions are made again whenever they are asked for: 15 us, and memory for the numbers alone. */
class DrawnScene implements SceneImage {
  readonly id: string;

  constructor(
    private readonly seed: number,
    private readonly index: number,
    readonly split: Split,
    private readonly size: number,
  ) {
    this.id = `scene-${index}`;
  }

  get group(): number {
    return twins(this.index);
  }

  get scene(): Scene {
    return makeScene(this.seed, this.index);
  }

  get captions(): readonly string[] {
    return sceneCaptions(this.scene);
  }

  readonly decode = async () => drawScene(this.scene, this.size);
  readonly stamp = async () => `${DRAWING_VERSION}-${this.seed}-${this.size}`;
}
