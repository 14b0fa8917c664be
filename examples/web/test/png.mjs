// The PNG files that the tests compare and make: 8 bits a sample, gray or RGB.
import { deflateSync, inflateSync, crc32 } from "node:zlib";

/** Width, height and the first channel of a PNG without alpha or palette. */
export function decode(file) {
  const parts = [];
  let header;
  for (let at = 8; at < file.length; ) {
    const length = file.readUInt32BE(at);
    const kind = file.toString("latin1", at + 4, at + 8);
    const body = file.subarray(at + 8, at + 8 + length);
    if (kind === "IHDR") header = body;
    if (kind === "IDAT") parts.push(body);
    at += 12 + length;
  }
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const channels = { 0: 1, 2: 3 }[header[9]];
  if (header[8] !== 8 || !channels || header[12] !== 0) throw new Error("8-bit gray or RGB was expected");
  const rows = inflateSync(Buffer.concat(parts));
  const line = width * channels;
  let before = new Uint8Array(line);
  const first = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (line + 1)];
    const now = Uint8Array.from(rows.subarray(y * (line + 1) + 1, (y + 1) * (line + 1)));
    for (let x = 0; x < line; x++) {
      const left = x < channels ? 0 : now[x - channels];
      const corner = x < channels ? 0 : before[x - channels];
      now[x] += [0, left, before[x], (left + before[x]) >> 1, paeth(left, before[x], corner)][filter];
    }
    for (let x = 0; x < width; x++) first[y * width + x] = now[x * channels];
    before = now;
  }
  return { width, height, first };
}

function paeth(left, up, corner) {
  const far = [left, up, corner].map((value) => Math.abs(left + up - corner - value));
  if (far[0] <= far[1] && far[0] <= far[2]) return left;
  return far[1] <= far[2] ? up : corner;
}

/** A gray PNG of one level. */
export const plain = (width, height, level) => encode({ width, height, first: Buffer.alloc(width * height, level) });

/** A gray PNG of such pixels. */
export function encode({ width, height, first }) {
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++) rows.set(first.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  const chunks = [chunk("IHDR", header), chunk("IDAT", deflateSync(rows, { level: 1 })), chunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), ...chunks]);
}

function chunk(kind, body) {
  const named = Buffer.concat([Buffer.from(kind, "latin1"), body]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(body.length, 0);
  ends.writeUInt32BE(crc32(named), 4);
  return Buffer.concat([ends.subarray(0, 4), named, ends.subarray(4)]);
}
