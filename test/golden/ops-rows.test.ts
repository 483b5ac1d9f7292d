import { afterAll, beforeAll, it } from "vitest";
import { add, addPositions } from "../../src/kernels/rows/rows.js";
import type { Device } from "../../src/runtime/device.js";
import { runOp, testDevice, upload } from "../gpu/harness.js";
import { expectOut, opCases, opInput } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each(opCases("positional_add"))("%s", async (_, c) => {
  const [x, pos] = await Promise.all([opInput(c, "x"), opInput(c, "pos")]);
  const [y] = await runOp(device, (p) =>
    addPositions(p, upload(p, "x", x.shape, x.data), upload(p, "pos", pos.shape, pos.data), {
      start: 0,
      period: x.shape[1]!,
      label: "y",
    }),
  );
  await expectOut(c, y!);
});

it.each(opCases("residual_add"))("%s", async (_, c) => {
  const [a, b] = await Promise.all([opInput(c, "x"), opInput(c, "y")]);
  const [y] = await runOp(device, (p) =>
    add(p, upload(p, "a", a.shape, a.data), upload(p, "b", b.shape, b.data), { label: "sum" }),
  );
  await expectOut(c, y!);
});
