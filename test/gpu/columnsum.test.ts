import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { columnSum } from "../../src/kernels/columnsum/columnsum.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { nmse, testDevice, upload, values } from "./harness.js";

const SHAPES = [
  [1, 1],
  [3, 7],
  [64, 12],
  [65, 260],
  [4097, 5], // three stages
] as const;

describe("columnSum", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  it.each(SHAPES)("[%i, %i] overwrites or adds, as each run says", async (rows, columns) => {
    const x = values("x", rows * columns);
    const before = values("before", columns);
    const expected = new Float64Array(columns);
    for (let i = 0; i < x.length; i++) expected[i % columns]! += x[i]!;
    const p = new Program(device, "test");
    const grad = upload(p, "grad", [columns], before);
    columnSum(p, upload(p, "x", [rows, columns], x), { grad, accumulate: p.scalar("accumulate") }, { label: "y" });
    await p.compile();
    for (const accumulate of [0, 1]) {
      device.write(grad, before);
      p.run({ accumulate });
      const got = new Float32Array(await device.read(grad));
      expect(
        nmse(
          got,
          expected.map((v, i) => v + accumulate * before[i]!),
        ),
        `accumulate ${accumulate}`,
      ).toBeLessThan(1e-11);
    }
    p.destroy();
  });
});
