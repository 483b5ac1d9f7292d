/**
 * Captions the same photos with weights kept as f32, f16 and q8 on the device and says how the captions differ:
 *
 *     npx tsx scripts/compare-dtypes.ts --data captions.jsonl --images photos [--split test] [--model NAME] [--out FILE]
 *
 * --data is JSON lines with "file" and "split". Prints a table in Markdown; --out FILE also writes everything as JSON.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { resizeAndCrop } from "../src/data/image/preprocess.js";
import type { RgbImage } from "../src/data/image/rgb.js";
import type { WeightDType } from "../src/models/weights.js";
import { type Caption, ClipCap, decodeImage, modelFolder, openDevice } from "../src/node.js";
import type { Device } from "../src/runtime/device.js";

const DTYPES: readonly WeightDType[] = ["f32", "f16", "q8"];
/** Candidates among which the other caption's token is looked for at the first difference. */
const CANDIDATES = 16;
const EXAMPLES = 8;

interface Run {
  readonly captions: readonly Caption[];
  /** Bytes on the device: of the weights, and at the peak of captioning a batch. */
  readonly weights: number;
  readonly peak: number;
}

interface Difference {
  readonly file: string;
  readonly f32: string;
  readonly other: string;
  /** First token that differs. */
  readonly at: number;
  /** There, in the f32 model: log-probability of its own token minus that of the other's; absent where not found. */
  readonly gap?: number;
}

interface Comparison {
  readonly dtype: WeightDType;
  readonly weightsMB: number;
  readonly peakMB: number;
  readonly identical: number;
  readonly photos: number;
  readonly meanLogprob: number;
  /** Over all photos, of the mean log-probability that each model gives its own caption. */
  readonly meanLogprobDifference: { readonly mean: number; readonly largest: number };
  readonly differences: readonly Difference[];
}

async function readPhotos(data: string, folder: string, split: string, model: ClipCap) {
  const lines = (await readFile(data, "utf8")).split("\n").filter((line) => line.trim() !== "");
  const entries = lines.map((line) => JSON.parse(line) as { file: string; split: string });
  const files = entries.filter((entry) => entry.split === split).map((entry) => entry.file);
  const images: RgbImage[] = [];
  for (const file of files) images.push(resizeAndCrop(await decodeImage(join(folder, file)), model.preprocessing));
  return { files, images };
}

async function captionAll(device: Device, model: ClipCap, images: readonly RgbImage[]): Promise<Run> {
  const weights = device.memory().used;
  const captions = (await model.caption(images)).map((list) => list[0]!);
  return { captions, weights, peak: device.memory().used };
}

/**
 * How far the f32 model prefers its own token at the first difference: it is given the common beginning as a prompt and
 * asked for its most probable next tokens. Undefined where the beginning does not survive the way over text.
 */
async function gapAt(model: ClipCap, image: RgbImage, own: Caption, other: Caption, at: number) {
  const [a, b] = [own.tokens[at], other.tokens[at]];
  if (a === undefined || b === undefined) return undefined;
  const start = own.tokens.slice(0, at);
  const prompt = model.tokenizer.decode(start, { cleanUp: false });
  if (`${model.tokenizer.encode(prompt)}` !== `${start}`) return undefined;
  const [next] = await model.caption([image], { prompt, maxTokens: 1, beam: CANDIDATES, num: CANDIDATES });
  const logprob = (id: number) => next!.find((c) => c.tokens[0] === id)?.logprob;
  const [ours, theirs] = [logprob(a), logprob(b)];
  return ours === undefined || theirs === undefined ? undefined : ours - theirs;
}

function firstDifference(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((token, i) => token !== b[i]);
  return at >= 0 ? at : a.length === b.length ? -1 : a.length;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      data: { type: "string" },
      images: { type: "string" },
      split: { type: "string", default: "test" },
      model: { type: "string", default: "flickr8k-small" },
      out: { type: "string" },
    },
  });
  if (!values.data || !values.images) throw new Error("--data FILE and --images DIR are needed");

  const device = await openDevice();
  const load = async (dtype: WeightDType) => ClipCap.load(device, await modelFolder(values.model), { dtype });
  const exact = await load("f32");
  const { files, images } = await readPhotos(values.data, values.images, values.split, exact);
  const base = await captionAll(device, exact, images);
  exact.close();

  const runs = new Map<WeightDType, Run>([["f32", base]]);
  for (const dtype of DTYPES.slice(1)) {
    const model = await load(dtype);
    runs.set(dtype, await captionAll(device, model, images));
    model.close();
  }

  const judge = await load("f32");
  const comparisons: Comparison[] = [];
  for (const [dtype, { captions, weights, peak }] of runs) {
    const differences: Difference[] = [];
    for (const [i, own] of base.captions.entries()) {
      const at = firstDifference(own.tokens, captions[i]!.tokens);
      if (at < 0) continue;
      const gap = await gapAt(judge, images[i]!, own, captions[i]!, at);
      differences.push({ file: files[i]!, f32: own.text, other: captions[i]!.text, at, gap });
    }
    const shifts = base.captions.map((own, i) => captions[i]!.meanLogprob - own.meanLogprob);
    comparisons.push({
      dtype,
      weightsMB: weights / 1e6,
      peakMB: peak / 1e6,
      identical: files.length - differences.length,
      photos: files.length,
      meanLogprob: mean(captions.map((c) => c.meanLogprob)),
      meanLogprobDifference: { mean: mean(shifts), largest: Math.max(...shifts.map(Math.abs)) },
      differences,
    });
  }
  const adapter = device.adapter.description;
  device.close();
  print(adapter, comparisons);
  if (values.out) {
    const tokensOf = (i: number) => Object.fromEntries([...runs].map(([d, { captions }]) => [d, captions[i]!.tokens]));
    const tokens = Object.fromEntries(files.map((file, i) => [file, tokensOf(i)]));
    await writeFile(values.out, `${JSON.stringify({ adapter, comparisons, tokens })}\n`);
  }
}

function print(adapter: string, comparisons: readonly Comparison[]): void {
  console.log(`${adapter}; ${comparisons[0]!.photos} photos, greedy\n`);
  console.log(
    "| weights | on the device | peak | same caption as f32 | mean log-probability per token, change | largest |",
  );
  console.log("|---|---|---|---|---|---|");
  for (const c of comparisons) {
    const { mean: shift, largest } = c.meanLogprobDifference;
    console.log(
      `| ${c.dtype} | ${c.weightsMB.toFixed(1)} MB | ${c.peakMB.toFixed(1)} MB | ${c.identical} of ${c.photos} ` +
        `(${((100 * c.identical) / c.photos).toFixed(1)} %) | ${c.meanLogprob.toFixed(4)}, ${shift.toFixed(5)} | ${largest.toFixed(4)} |`,
    );
  }
  for (const { dtype, differences } of comparisons) {
    if (differences.length === 0) continue;
    const gaps = differences.flatMap((d) => (d.gap === undefined ? [] : [d.gap])).sort((a, b) => a - b);
    const at = (share: number) => gaps[Math.min(gaps.length - 1, Math.floor(share * gaps.length))]?.toFixed(3);
    console.log(
      `\n${dtype}: gap at the first difference (${gaps.length} of ${differences.length} measured): ` +
        `median ${at(0.5)}, 90 % below ${at(0.9)}, largest ${at(1)}\n`,
    );
    for (const { file, f32, other, gap } of differences.slice(0, EXAMPLES)) {
      console.log(`- ${file} (gap ${gap?.toFixed(3)})\n  f32: ${f32}\n  ${dtype}: ${other}`);
    }
  }
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, x) => sum + x, 0) / Math.max(1, numbers.length);
}

await main();
