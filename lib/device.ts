import { AsrError, badArgument } from './errors';

export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

/** The device that was taken, and why. */
export interface DeviceChoice {
  device: 'cpu';
  reason: string;
}

const noTensorRt = 'this version has no TensorRT engines';

/** Chooses a device. There is no silent fall-back: asking for a GPU fails with ERR_BACKEND_UNAVAILABLE. */
export function chooseDevice(device: unknown): DeviceChoice {
  if (device === undefined || device === 'auto') return { device: 'cpu', reason: `auto: ${noTensorRt}` };
  if (device === 'cpu') return { device: 'cpu', reason: 'asked for' };
  if (typeof device === 'string' && /^cuda(:\d+)?$/.test(device)) {
    throw new AsrError({
      code: 'ERR_BACKEND_UNAVAILABLE',
      field: 'device',
      expected: "'auto' or 'cpu'",
      received: `'${device}', and ${noTensorRt}`,
      remedy: "Use device: 'cpu'.",
    });
  }
  throw badArgument('device', "'auto', 'cpu', 'cuda' or 'cuda:N'", device);
}
