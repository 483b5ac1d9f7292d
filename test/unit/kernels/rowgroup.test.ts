import { expect, it } from "vitest";
import { elementGrid, foldedGrid, vectorOf } from "../../../src/kernels/grid.js";
import { chooseRowGroup, ROW_GROUPS, runnableRowGroups } from "../../../src/kernels/rowgroup.js";
import type { Device } from "../../../src/runtime/device.js";

const adapter = (isCpu: boolean) => ({ vendor: "", architecture: "", device: "", description: "", isCpu });
const device = { limits: { maxWorkgroupsPerDimension: 65_535 } } as Device;

it("reduces a row by lanes where they were proved, else in workgroup memory, small on a CPU", () => {
  expect(chooseRowGroup({ adapter: adapter(true), lanes: 8 })).toEqual({ reduce: "lanes", size: 8 });
  expect(chooseRowGroup({ adapter: adapter(true), lanes: 4 })).toEqual({ reduce: "lanes", size: 4 });
  expect(chooseRowGroup({ adapter: adapter(true), lanes: 0 })).toEqual({ reduce: "shared", size: 8 });
  expect(chooseRowGroup({ adapter: adapter(false), lanes: 0 })).toEqual({ reduce: "shared", size: 64 });
});

it("chooses only groups that the device can run", () => {
  for (const lanes of [0, 4, 8]) {
    for (const isCpu of [true, false]) {
      expect(runnableRowGroups({ lanes })).toContainEqual(chooseRowGroup({ adapter: adapter(isCpu), lanes }));
    }
  }
  expect(runnableRowGroups({ lanes: 0 }).length).toBe(ROW_GROUPS.length - 2);
});

it("folds grids beyond the limit into two dimensions that cover every workgroup", () => {
  expect(foldedGrid(0, device)).toEqual([1, 1, 1]);
  expect(foldedGrid(65_535, device)).toEqual([65_535, 1, 1]);
  for (const groups of [65_536, 196_608, 10_000_019]) {
    const [x, y] = foldedGrid(groups, device);
    expect(Math.max(x, y)).toBeLessThanOrEqual(65_535);
    expect(x * y).toBeGreaterThanOrEqual(groups);
    expect(x * (y - 1)).toBeLessThan(groups);
  }
  expect(elementGrid(65, device)).toEqual([2, 1, 1]);
});

it("takes vectors only where every length keeps their alignment", () => {
  expect([vectorOf(768), vectorOf(224, 14), vectorOf(224, 32), vectorOf(65)]).toEqual([4, 1, 4, 1]);
});
