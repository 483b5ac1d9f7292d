import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openFile, writeAtomically } from "../../../src/weights/node-source.js";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "clipcap-write-"));
  file = join(folder, "photo.jpg");
  writeFileSync(file, "");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const write = (path: string) => writeAtomically(path, (sink) => sink.write(Buffer.from("x")));

it("an output below a file is refused by the name of the file", async () => {
  await expect(write(join(file, "x.html"))).rejects.toMatchObject({
    code: "io",
    message: `${file} is a file; name a folder.`,
  });
  const deep = join(file, "y");
  await expect(write(join(deep, "x.html"))).rejects.toMatchObject({
    code: "io",
    message: `${deep} lies below a file; check the path.`,
  });
  await expect(write(folder)).rejects.toMatchObject({ message: `${folder} is a folder; name a file.` });
  expect(readdirSync(folder)).toEqual(["photo.jpg"]);
});

it("what cannot be read says what to do", async () => {
  const missing = join(folder, "none");
  await expect(openFile(missing)).rejects.toMatchObject({
    code: "not-found",
    message: `${missing} does not exist; check the path.`,
  });
  await expect(openFile(join(file, "x"))).rejects.toThrow("lies below a file; check the path");
  await expect(openFile(folder)).rejects.toThrow(`${folder} is not a regular file; name a file.`);
});
