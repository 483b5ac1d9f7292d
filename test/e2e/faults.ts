/**
 * Loaded first into a child process (`--import`), this makes the file system fail as CLIPCAP_FAULT says, which needs
 * neither a full disk nor a user without rights.
 */
import fs, { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

function failure(code: string, text: string): Error {
  return Object.assign(new Error(`${code}: ${text}`), { code });
}

/** Every file takes 4096 bytes and no more. */
async function fillDisk(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "clipcap-fault-"));
  const handle = await open(join(folder, "probe"), "w");
  const methods = Object.getPrototypeOf(handle);
  await handle.close();
  rmSync(folder, { recursive: true });
  const { appendFile } = methods;
  let written = 0;
  methods.appendFile = function (data: Uint8Array) {
    written += data.length;
    if (written > 4096) return Promise.reject(failure("ENOSPC", "no space left on device, write"));
    return appendFile.call(this, data);
  };
}

function lockFolders(): void {
  fs.promises.readdir = (() => Promise.reject(failure("EACCES", "permission denied, scandir"))) as never;
  syncBuiltinESMExports();
}

/** As with `> file` on a full disk: the error comes after the write. */
function fillOutput(): void {
  process.stdout._write = (_chunk, _encoding, done) =>
    setTimeout(() => done(failure("ENOSPC", "no space left on device, write")), 1);
}

/** Ends as `kill -9` does, before the file operation ("rename FROM TO", "write FILE") that fits CLIPCAP_KILL for the nth time. */
async function killAt(pattern: RegExp, nth: number): Promise<void> {
  const paths = new WeakMap<object, string>();
  let met = 0;
  const watch = (operation: string) => {
    if (pattern.test(operation) && ++met === nth) process.kill(process.pid, "SIGKILL");
  };
  const { rename, open: openFile } = fs.promises;
  fs.promises.rename = (from, to) => {
    watch(`rename ${from} ${to}`);
    return rename(from, to);
  };
  fs.promises.open = async (path, ...rest) => {
    const handle = await openFile(path, ...rest);
    paths.set(handle, String(path));
    return handle;
  };
  syncBuiltinESMExports();
  const handle = await openFile(import.meta.filename, "r");
  const methods = Object.getPrototypeOf(handle);
  await handle.close();
  const { appendFile } = methods;
  methods.appendFile = function (data: Uint8Array) {
    watch(`write ${paths.get(this)}`);
    return appendFile.call(this, data);
  };
}

const { CLIPCAP_KILL, CLIPCAP_KILL_NTH = "1" } = process.env;
if (CLIPCAP_KILL) await killAt(new RegExp(CLIPCAP_KILL), Number(CLIPCAP_KILL_NTH));
if (process.env.CLIPCAP_FAULT === "full-output") fillOutput();
if (process.env.CLIPCAP_FAULT === "full-disk") await fillDisk();
if (process.env.CLIPCAP_FAULT === "locked-folders") lockFolders();
