import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { picture, ROOT, temporaryFolder } from "./cli.js";

const folder = await temporaryFolder();

/** `npm run demo` without the search for a driver, called in `folder`. */
function demo(...args: string[]) {
  return spawnSync(process.execPath, ["--import", "tsx", "scripts/demo.ts", ...args], {
    cwd: ROOT,
    env: { ...process.env, INIT_CWD: folder },
    encoding: "utf8",
  });
}

describe("npm run demo", () => {
  it("captions the project's pictures and writes one self-contained page", async () => {
    const ran = demo();
    expect(ran.status, ran.stderr).toBe(0);
    expect(ran.stdout).toMatch(/black-dog-water\.svg: A .*dog.*\.$/m);
    const page = await readFile(join(folder, "demo.html"), "utf8");
    expect(page.match(/<figure>/g)).toHaveLength(8);
    expect(page.match(/src="data:image\/jpeg;base64,/g)).toHaveLength(8);
    expect(page).not.toMatch(/(?:src|href)="(?!data:)/);
  });

  it("takes the user's own pictures, and escapes what they are called", async () => {
    await picture(join(folder, "me & <you>.jpg"));
    const ran = demo("me & <you>.jpg");
    expect(ran.stdout).toMatch(/^me & <you>\.jpg: A .*\.$/m);
    expect(await readFile(join(folder, "demo.html"), "utf8")).toContain("<small>me &#38; &#60;you&#62;.jpg</small>");
  });

  it("says what is wrong with one", async () => {
    await writeFile(join(folder, "broken.jpg"), "nothing");
    const ran = demo("broken.jpg");
    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain("broken.jpg cannot be read as an image");
    expect(ran.stderr).not.toMatch(/^\s+at /m);
  });
});
