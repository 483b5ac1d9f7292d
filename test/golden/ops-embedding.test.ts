import { afterAll, beforeAll, it } from "vitest";
import { embedding } from "../../src/kernels/embedding/embedding.js";
import type { Device } from "../../src/runtime/device.js";
import { runOp, testDevice, upload } from "../gpu/harness.js";
import { expectOut, opCases, opIds, opInput } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each(opCases("embedding"))("%s", async (_, c) => {
  const table = await opInput(c, "table");
  const ids = Uint32Array.from(await opIds(c, "ids"));
  const [y] = await runOp(device, (p) =>
    embedding(p, upload(p, "ids", [ids.length], ids, "u32"), upload(p, "table", table.shape, table.data), {
      label: "y",
    }),
  );
  await expectOut(c, y!);
});
