import { afterAll, beforeAll, it } from "vitest";
import { embedding } from "../../src/kernels/embedding/embedding.js";
import type { Device } from "../../src/runtime/device.js";
import { leaf, runGradients, testDevice, upload } from "../gpu/harness.js";
import { expectGrad, expectOut, opCases, opIds, opInput } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each(opCases("embedding"))("%s", async (_, c) => {
  const [table, cot] = await Promise.all([opInput(c, "table"), opInput(c, "cot")]);
  const ids = Uint32Array.from(await opIds(c, "ids"));
  const [y, dtable] = await runGradients(device, cot.data, (p) => {
    const leaves = [leaf(p, "table", table.shape, table.data)] as const;
    const rows = upload(p, "ids", [ids.length], ids, "u32");
    return { y: embedding(p, rows, leaves[0], { label: "y" }), leaves };
  });
  await expectOut(c, y!);
  await expectGrad(c, "table", dtable!);
});
