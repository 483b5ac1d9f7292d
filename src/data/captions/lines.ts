import type { ProblemLog } from "./problems.js";

export interface TextLine {
  /** From 1. */
  readonly line: number;
  /** Without its end. */
  readonly text: string;
}

/** A row with 1,000 captions of 1,000 characters. */
const MAX_LINE = 2 ** 20;

/**
 * The lines of a UTF-8 text that comes in pieces; memory holds a piece and a line. Ends are \n or \r\n, a byte order mark
 * is dropped, bytes that are not UTF-8 become U+FFFD. A line above MAX_LINE characters is a problem and is left out.
 */
export async function* splitLines(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  problems: ProblemLog,
  file = problems.file,
): AsyncGenerator<TextLine> {
  const utf8 = new TextDecoder();
  let line = 1;
  let rest = "";
  let tooLong = false;
  const take = (text: string): TextLine | undefined => {
    const whole = rest + text;
    const fits = !tooLong && whole.length <= MAX_LINE;
    if (!fits) problems.add("row", line, `the line is longer than the limit of ${MAX_LINE} characters`, file);
    [rest, tooLong] = ["", false];
    const taken = { line: line++, text: whole.endsWith("\r") ? whole.slice(0, -1) : whole };
    return fits ? taken : undefined;
  };
  for await (const piece of pieces) {
    const parts = utf8.decode(piece, { stream: true }).split("\n");
    const last = parts.pop()!;
    for (const part of parts) {
      const taken = take(part);
      if (taken) yield taken;
    }
    if (!tooLong) rest += last;
    if (rest.length > MAX_LINE) [rest, tooLong] = ["", true];
  }
  const taken = take(utf8.decode());
  if (taken && taken.text !== "") yield taken;
}
