/** Writes .tar files for tests. */
export interface Member {
  readonly name: string;
  readonly data: string | Uint8Array;
  /** "0" is a file. */
  readonly type?: string;
  /** What the header says, if not the data's. */
  readonly size?: string;
  readonly prefix?: string;
}

export function tar(members: readonly Member[], end = 1024): Buffer {
  return Buffer.concat([...members.map(tarMember), Buffer.alloc(end)]);
}

/** A pax record with its own length in front. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  const length = bytes + String(bytes + String(bytes).length).length;
  return `${length}${rest}`;
}

function tarMember({ name, data, type = "0", size, prefix = "" }: Member): Buffer {
  const content = Buffer.from(data);
  const header = Buffer.alloc(512);
  header.write(name, 0, 100);
  header.write("0000644\0", 100);
  header.write(size ?? content.length.toString(8).padStart(11, "0"), 124, 12, "latin1");
  header.write("        ", 148);
  header.write(type, 156);
  header.write("ustar\x0000", 257);
  header.write(prefix, 345, 155);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}
