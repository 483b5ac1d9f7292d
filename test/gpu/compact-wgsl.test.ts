import { expect, test } from "vitest";
import { checkKernels } from "../../scripts/check-wgsl.js";
import { compactWgsl } from "../../scripts/compact-wgsl.js";
import { allKernels } from "../../src/kernels/index.js";
import { testDevice } from "./harness.js";

const compacted = (wgsl: string) => compactWgsl(`/* wgsl */ \`${wgsl}\``).slice("/* wgsl */ `".length, -1);

test("comments and spaces go, code outside of WGSL stays", () => {
  const js = "const a = 1; // kept\nconst b = /* wgsl */ `\n  // why\n  let x = y + 1.0; // this\n  z = x;\n`;";
  expect(compactWgsl(js)).toBe("const a = 1; // kept\nconst b = /* wgsl */ `\nlet x=y+1.0;\nz=x;\n`;");
  expect(compacted("a = b - -c;")).toBe("a=b- -c;");
});

test("every kernel still compiles as the package ships it", async () => {
  const device = await testDevice({ limits: "default" });
  try {
    const shipped = allKernels().map((spec) => ({ ...spec, body: compacted(spec.body) }));
    expect(shipped.reduce((sum, { body }) => sum + body.length, 0)).toBeLessThan(
      0.9 * allKernels().reduce((sum, { body }) => sum + body.length, 0),
    );
    const { faults } = await checkKernels(device, shipped);
    expect(faults).toEqual([]);
  } finally {
    device.close();
  }
});
