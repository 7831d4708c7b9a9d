import type { ByteSource } from './byte_source';
import { ascii } from './detect';

/** Follows the page structure of an Ogg stream, so that a file cut within a page is noticed. SOURCE: RFC 3533. */
export class OggPages {
  #held: number[] = [];
  #bodyLeft = 0;
  #lost = false;

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#bodyLeft > 0) {
        const taken = Math.min(this.#bodyLeft, bytes.length - at);
        this.#bodyLeft -= taken;
        at += taken;
        continue;
      }
      this.#held.push(bytes[at++] as number);
      this.#header();
    }
  }

  #header(): void {
    const held = this.#held;
    if (held.length === 4 && ascii(Uint8Array.from(held), 0, 4) !== 'OggS') {
      this.#lost = true;
      held.shift();
    }
    if (held.length < 27 || held.length < 27 + (held[26] as number)) return;
    this.#bodyLeft = held.slice(27).reduce((sum, lacing) => sum + lacing, 0);
    this.#held = [];
  }

  problem(): string | undefined {
    if (this.#bodyLeft > 0 || this.#held.length > 0) return 'a file that ends within a page';
    return this.#lost ? 'bytes between its pages' : undefined;
  }
}

/** The length of a file, from the granule position of its last page; Opus counts at 48 kHz and skips a start. */
export async function oggDurationMs(source: ByteSource): Promise<number | undefined> {
  if (source.size === undefined) return undefined;
  const head = await source.peek(4096);
  const packet = 27 + (head[26] ?? 0);
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  if (head.length < packet + 16) return undefined;
  const isOpus = ascii(head, packet, 8) === 'OpusHead';
  const skipped = isOpus ? view.getUint16(packet + 10, true) : 0;
  const rateHz = isOpus ? 48000 : view.getUint32(packet + 12, true);
  const tailBytes = Math.min(source.size, 66000);
  const tail = source.readAt(source.size - tailBytes, tailBytes);
  if (tail === undefined || rateHz === 0) return undefined;
  for (let at = tail.length - 27; at >= 0; at--) {
    if (ascii(tail, at, 4) !== 'OggS') continue;
    const granule = Number(new DataView(tail.buffer, tail.byteOffset + at).getBigInt64(6, true));
    return granule > skipped ? ((granule - skipped) * 1000) / rateHz : undefined;
  }
  return undefined;
}
