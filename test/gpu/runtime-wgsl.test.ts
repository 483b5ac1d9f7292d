import { readdirSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkKernels } from "../../scripts/check-wgsl.js";
import { allKernels } from "../../src/kernels/index.js";
import { ClipCap, modelFolder } from "../../src/node.js";
import type { Device } from "../../src/runtime/device.js";
import { type KernelSpec, write } from "../../src/runtime/kernel.js";
import { testDevice } from "./harness.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device?.close());

function kernel(name: string, body: string, more: Partial<KernelSpec> = {}): KernelSpec {
  return { name, bindings: [write("y")], uniforms: [["n", "u32"]], workgroup: [1, 1, 1], body, ...more };
}

test("the check reports each faulty kernel with its lines, and counts the rest", async () => {
  const good = kernel("good", "@compute fn main() { y[0] = f32(u.n); }");
  const faulty = [
    kernel("typo", "@compute fn main() { y[0] = f32(u.m); }"),
    kernel("shared", "var<workgroup> s: array<f32, 5000>;\n@compute fn main() { y[0] = s[u.n]; }"),
    kernel("wide", "@compute fn main() { y[0] = 1.0; }", { workgroup: [512, 1, 1] }),
    kernel("good", "@compute fn main() { y[0] = 2.0; }"),
    kernel("many", "@compute fn main() { y0[0] = f32(u.n); }", {
      bindings: Array.from({ length: 9 }, (_, i) => write(`y${i}`)),
    }),
  ];
  const { checked, faults } = await checkKernels(device, [good, ...faulty]);
  expect(checked).toBe(6);
  const find = (name: string) => faults.filter((f) => f.includes(name)).join("\n");
  expect(find("kernel typo")).toMatch(/struct member m not found.*\n[\s\S]*> {4}4 \| .*f32\(u\.m\)/);
  expect(find("kernel shared")).toMatch(/20000/);
  expect(find("kernel wide")).toMatch(/512/);
  expect(find("called good")).toBe("two kernels are called good");
  expect(find("kernel many")).toMatch(/9 storage bindings; at most 8 are portable/);
});

test("kernels of features that the adapter lacks are left out, not failed", async () => {
  const plain = await testDevice({ limits: "default", features: "none" });
  try {
    const lanes = kernel("lanes", "@compute fn main() { y[0] = subgroupAdd(1.0); }", { enables: ["subgroups"] });
    expect(await checkKernels(plain, [lanes])).toEqual({ checked: 0, leftOut: ["lanes"], faults: [] });
  } finally {
    plain.close();
  }
});

test("the list holds every kernel that the shipped model uses", async () => {
  const used = new Set<string>();
  const compile = device.kernel.bind(device);
  device.kernel = (spec, label) => {
    used.add(spec.name);
    return compile(spec, label);
  };
  const model = await ClipCap.load(device, await modelFolder());
  await model.prepare(1);
  await model.prepare(2, { beam: 5, beamRule: "length-normalised", prompt: "a", noRepeatNgram: 2 });
  await model.prepare(1, { topK: 5, topP: 0.5, num: 3, repetitionPenalty: 1.1 });
  model.close();
  const listed = new Set(allKernels().map((k) => k.name));
  expect([...used].filter((name) => !listed.has(name))).toEqual([]);
  expect(used.size).toBeGreaterThan(15);
});

test("the list holds the kernels of every op", async () => {
  const folder = new URL("../../src/kernels/", import.meta.url);
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((p) => /[\\/]\w+\.ts$/.test(p));
  const listed = new Set(allKernels().map((k) => k.name));
  let lists = 0;
  for (const path of paths) {
    const module = (await import(new URL(path, folder).href)) as Record<string, unknown>;
    for (const [name, list] of Object.entries(module)) {
      if (!name.endsWith("Kernels") || typeof list !== "function") continue;
      lists++;
      const missing = (list as () => KernelSpec[])().filter((k) => !listed.has(k.name));
      expect(missing.map((k) => `${path}: ${k.name}`)).toEqual([]);
    }
  }
  expect(lists).toBeGreaterThan(10);
});
