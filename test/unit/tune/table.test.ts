import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { newTable, readTable, removeTable, saveTable, tableFile, tunedOf } from "../../../src/tune/node-table.js";
import type { Found } from "../../../src/tune/tune.js";

const adapter = { vendor: "mesa", architecture: "software", device: "llvmpipe", description: "Mesa 25", isCpu: true };
const found = (of: string, chosen: string): Found => {
  return { of, shape: "1 x 2", usual: "usual", chosen, speedup: 1.25, wrong: ["broken"] };
};

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clipcap-tune-"));
  file = join(folder, "table.json");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("comes back as it was written, and means the choices that differ from the usual", async () => {
  const table = newTable(adapter, [found("b", "fast"), found("a", "faster"), found("c", "usual")]);
  await saveTable(file, table);
  expect(await readTable(file, { adapter })).toEqual(table);
  expect(tunedOf(table).choices).toEqual({ a: "faster", b: "fast" });
  expect(await readdir(folder)).toEqual(["table.json"]);
});

it("digests the choices alone: not their order, nor times and dates", () => {
  const one = newTable(adapter, [found("b", "fast"), found("a", "faster"), found("c", "usual")]);
  const same = { ...one, date: "2020", results: [{ ...found("a", "faster"), speedup: 2 }, found("b", "fast")] };
  expect(tunedOf(same).digest).toBe(tunedOf(one).digest);
  expect(tunedOf({ ...one, results: [found("a", "faster")] }).digest).not.toBe(tunedOf(one).digest);
});

it("keeps what was found earlier for the classes that were not reached now, and nothing of those that were", () => {
  const earlier = [found("a", "fast"), found("b", "fast"), found("c", "fast"), found("d", "usual")];
  const { results } = newTable(adapter, [found("a", "usual"), found("b", "faster")], earlier);
  expect(results).toEqual([found("a", "usual"), found("b", "faster"), found("c", "fast"), found("d", "usual")]);
  expect(tunedOf(newTable(adapter, results)).choices).toEqual({ b: "faster", c: "fast" });
});

it("of another adapter, driver or version of the kernels is refused", async () => {
  const table = newTable(adapter, [found("a", "fast")]);
  await saveTable(file, table);
  await expect(readTable(file, { adapter: { ...adapter, device: "H100" } })).rejects.toThrow(
    `${file} was measured on another adapter (mesa software llvmpipe) and is not used`,
  );
  await expect(readTable(file, { adapter: { ...adapter, description: "Mesa 26" } })).rejects.toThrow(
    `${file} was measured with another driver (Mesa 25) and is not used`,
  );
  await saveTable(file, { ...table, kernels: "0123" });
  await expect(readTable(file, { adapter })).rejects.toThrow("with other kernels than this version has");
});

it("that is damaged is refused in one sentence", async () => {
  const whole = JSON.stringify({ format: 1, ...newTable(adapter, [found("a", "fast")]) });
  const broken: [string, RegExp][] = [
    ["", /is damaged \(is not valid JSON .*\) and is not used$/],
    [whole.slice(0, 90), /is damaged \(is not valid JSON/],
    ["[1]", /is damaged \(must be a JSON object, not a list\)/],
    [whole.replace('"format":1', '"format":2'), /"format" must be a whole number from 1 to 1, not 2/],
    [whole.replace('"chosen":"fast"', '"chosen":7'), /results\[0\]: "chosen" must be a text/],
    [whole.replace('"speedup":1.25', '"speedup":null'), /"speedup" must be a number/],
    [whole.replace('"of":"a"', '"of":"a\\u001b[2J"'), /results\[0\]: "of" must be a text without control characters/],
    [whole.replace('["broken"]', '"broken"'), /"wrong" must be/],
    [whole.replace('"driver"', '"Driver"'), /"driver" must be a text without control characters, not missing/],
    [" ".repeat(2 ** 20 + 1), /bytes are more than any table has/],
  ];
  for (const [text, message] of broken) {
    await writeFile(file, text);
    await expect(readTable(file, { adapter }), text.slice(0, 40)).rejects.toMatchObject({
      code: "bad-input",
      message: expect.stringMatching(message),
    });
  }
});

it("is none where there is no file, and can be removed", async () => {
  const none = join(folder, "none.json");
  expect(await readTable(none, { adapter })).toBeUndefined();
  expect(await removeTable(none)).toBe(false);
  expect(await removeTable(file)).toBe(true);
});

it("lies in the cache folder under a name that is safe as a file's", () => {
  const { XDG_CACHE_HOME } = process.env;
  process.env.XDG_CACHE_HOME = "/caches";
  try {
    expect(tableFile(adapter)).toBe("/caches/clipcap-webgpu/tune/mesa-software-llvmpipe.json");
    const hostile = { ...adapter, vendor: "../..", device: `/etc/${"x".repeat(300)}` };
    expect(tableFile(hostile)).toMatch(/^\/caches\/clipcap-webgpu\/tune\/[a-z0-9-]{1,100}\.json$/);
    expect(tableFile({ ...adapter, vendor: "", architecture: "", device: "" })).toMatch(/\/unknown\.json$/);
  } finally {
    if (XDG_CACHE_HOME === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = XDG_CACHE_HOME;
  }
});
