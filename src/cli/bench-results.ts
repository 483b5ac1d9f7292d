import { checkWritable, writeAtomically } from "../weights/node-source.js";
import type { Screen } from "./screen.js";

/** Where results go besides the terminal; `json: true` is stdout in place of the table. */
export interface ResultFiles {
  readonly json?: string | true;
  readonly html?: string;
  readonly quiet?: boolean;
}

/** Before anything is measured. @throws ClipCapError `io` for a file that cannot be written */
export async function checkResultFiles({ json, html }: ResultFiles): Promise<void> {
  for (const file of [json, html]) if (typeof file === "string") await checkWritable(file);
}

/** The table comes before the files, so that it is seen whatever becomes of them. */
export async function publish(
  report: object,
  { lines, page }: { readonly lines: readonly string[]; readonly page: () => string },
  { json, html, quiet }: ResultFiles,
  screen: Screen,
): Promise<void> {
  const text = `${JSON.stringify(report, null, 1)}\n`;
  if (json === true) screen.write(text);
  else for (const line of lines) screen.print(line);
  const files = [
    ...(typeof json === "string" ? [[json, text] as const] : []),
    ...(html === undefined ? [] : [[html, page()] as const]),
  ];
  for (const [file, content] of files) {
    await writeAtomically(file, (sink) => sink.write(Buffer.from(content)));
    if (json !== true && !quiet) screen.print(`Wrote ${file}`);
  }
}
