// Written by `npm run generate` from contracts/.

/** Bounds of what a contract or a caller may say, shared with the core. */
export const limits = {
  // SOURCE: every Parakeet and FastConformer preprocessor.
  // WHY: the audio code resamples to it, and a model for another rate would give wrong text without an error.
  audioRateHz: 16000,
  // SOURCE: ours; a slot holds 2 MB of samples.
  // WHY: a mistyped number should be an error, not an exhausted machine.
  sessionsMax: 4096,
  // SOURCE: ours.
  // WHY: a service rarely has one caller; four slots cost 8 MB.
  sessionsDefault: 4,
  // SOURCE: ours; a lane holds about 5 MB.
  // WHY: as for sessions.
  lanesMax: 64,
  // SOURCE: ours, above the processors of any machine in sight.
  // WHY: as for sessions.
  threadsMax: 256,
  // SOURCE: ours.
  // WHY: beyond that one window of 30 s gains little from more threads.
  threadsDefaultMax: 8,
  vocabularyMax: 1048576,
  subsamplingMax: 64,
  symbolsPerFrameMax: 1024,
  sampleRateHzMax: 384000,
  melBinsMax: 256,
  fftSamplesMin: 64,
  fftSamplesMax: 4096,
  windowSamplesMin: 2,
  hopSamplesMin: 1,
  durationsMax: 64,
  durationFramesMax: 1024,
} as const;
