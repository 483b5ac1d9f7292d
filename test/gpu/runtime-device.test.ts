import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ClipCap, modelFolder } from "../../src/node.js";
import { Device } from "../../src/runtime/device.js";
import { probeLanes } from "../../src/runtime/lanes.js";
import { Program } from "../../src/runtime/program.js";
import { testDevice, upload, values } from "./harness.js";
import { recordAffine } from "./runtime-kernels.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device?.close());

async function double(on: Device, n: number): Promise<number> {
  const p = new Program(on, "double");
  const y = recordAffine(p, upload(p, "x", [1], [n]), { scale: 2 });
  p.keep(y);
  await p.compile();
  const [value] = await p.run({}, [y]).f32();
  p.destroy();
  return value!;
}

describe("several devices", () => {
  test("live side by side; the end of one leaves the others", async () => {
    const others = await Promise.all([testDevice(), testDevice({ limits: "default", features: "none" })]);
    try {
      expect(await Promise.all([device, ...others].map((d, i) => double(d, i)))).toEqual([0, 2, 4]);
      const used = device.memory().used;
      others[0]!.close();
      await expect(double(others[0]!, 1)).rejects.toMatchObject({ code: "device-closed" });
      expect(await double(others[1]!, 5)).toBe(10);
      expect(await double(device, 6)).toBe(12);
      expect(device.memory().used).toBe(used);
    } finally {
      for (const other of others) other.close();
    }
  });

  test("open and close forty times without leaving anything", async () => {
    for (let i = 0; i < 40; i++) {
      const other = await testDevice();
      if (i % 10 === 0) expect(await double(other, i)).toBe(2 * i);
      other.close();
      expect(other.memory().used).toBe(0);
    }
  });
});

describe("limits and features", () => {
  test("are the adapter's, or WebGPU's defaults when asked for", async () => {
    const plain = await testDevice({ limits: "default", features: "none" });
    try {
      expect(plain.limits).toEqual({
        maxBindingBytes: 128 * 2 ** 20,
        maxBufferBytes: 256 * 2 ** 20,
        maxWorkgroupsPerDimension: 65_535,
        maxInvocations: 256,
        workgroupBytes: 16_384,
        storageAlignment: 256,
        uniformAlignment: 256,
      });
      expect(plain.lanes).toBe(0);
      expect(plain.gpu.features.has("subgroups")).toBe(false);
      for (const name of ["maxBindingBytes", "maxBufferBytes", "maxInvocations", "workgroupBytes"] as const) {
        expect(device.limits[name]).toBeGreaterThanOrEqual(plain.limits[name]);
      }
    } finally {
      plain.close();
    }
  });

  test("the shipped model computes the same bits at default and at raised limits", async () => {
    const plain = await testDevice({ limits: "default" });
    try {
      const data = Uint8Array.from(values("pixels", 120 * 90 * 3, 1), (v) => 128 + 127 * v);
      const image = { width: 120, height: 90, data };
      const run = async (on: Device) => {
        const model = await ClipCap.load(on, await modelFolder());
        const [embedding] = await model.embed([image]);
        const [captions] = await model.caption([image], { beam: 2, num: 2, maxTokens: 6 });
        model.close();
        return { bits: new Uint32Array(embedding!.buffer), captions };
      };
      expect(await run(plain)).toEqual(await run(device));
    } finally {
      plain.close();
    }
  });
});

const NONE = { lanes: 0, textures: false };

describe("lanes", () => {
  test("are believed where the driver's subgroups behave, on CPU adapters only", () => {
    const { subgroupMinSize, subgroupMaxSize } = device.gpu.adapterInfo;
    const fixed = subgroupMinSize === subgroupMaxSize && [4, 8].includes(subgroupMinSize);
    const expected = device.adapter.isCpu && device.gpu.features.has("subgroups") && fixed ? subgroupMinSize : 0;
    expect(device.lanes).toBe(expected);
  });

  test("are not used where the sizes vary or are unknown to the kernels", async () => {
    const claim = (subgroupMinSize: number, subgroupMaxSize: number) =>
      probeLanes(device, { subgroupMinSize, subgroupMaxSize } as GPUAdapterInfo, true);
    const before = device.memory().used;
    expect(await claim(4, 8)).toEqual(NONE);
    expect(await claim(16, 16)).toEqual(NONE);
    expect(await claim(32, 32)).toEqual(NONE);
    expect(device.memory().used).toBe(before);
  });

  test("are not used where the driver claims another size than it has", async () => {
    if (device.lanes === 0) return; // no subgroups to lie about
    const lie = device.lanes === 8 ? 4 : 8;
    const claim = { subgroupMinSize: lie, subgroupMaxSize: lie } as GPUAdapterInfo;
    expect(await probeLanes(device, claim, device.textures)).toEqual(NONE);
  });

  test("read through textures only where the language can", async () => {
    if (device.lanes === 0) return; // no kernel that would
    const { adapterInfo } = device.gpu;
    expect(device.textures).toBe(true); // lavapipe of Mesa 25, SwiftShader
    expect(await probeLanes(device, adapterInfo, false)).toEqual({ lanes: device.lanes, textures: false });
  });
});

test("without an adapter the error says how to get one", async () => {
  const gpu = { requestAdapter: async () => null } as unknown as GPU;
  await expect(Device.open(gpu)).rejects.toMatchObject({
    code: "no-adapter",
    message: expect.stringMatching(/no WebGPU adapter was found; .*mesa-vulkan-drivers/),
  });
});

test("a process ends by itself after close, whatever still waited", async () => {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const child = fileURLToPath(new URL("runtime-child.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", child], {
    cwd: root,
    timeout: 60_000, // a process that hangs is killed, and the call rejects
  });
  expect(JSON.parse(stdout)).toEqual({ doubled: 14, waiting: "device-closed", used: 0 });
});
