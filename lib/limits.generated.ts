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
  // SOURCE: ours; 4 MB of samples at 16 kHz.
  // WHY: writes that nobody waits for would pile up behind a recognizer that is slower than the audio.
  sessionQueueMsMax: 60000,
  // SOURCE: ours; a final has a few kB.
  // WHY: events that nobody reads would pile up without end; beyond it writes wait for the reader.
  sessionEventsMax: 256,
  // SOURCE: NeMo's buffered transducer script.
  // WHY: with it the words are those of the whole recording.
  contextLeftMsDefault: 10000,
  // SOURCE: as for the left context.
  // WHY: as for the left context.
  contextChunkMsDefault: 2000,
  // SOURCE: as for the left context.
  // WHY: as for the left context.
  contextRightMsDefault: 2000,
  // SOURCE: the longest window, native/session/window_plan.cpp.
  // WHY: quality falls beyond what was trained, and a slot holds no more.
  contextMsMax: 30000,
  // SOURCE: ours: longer than the pauses inside sentences.
  // WHY: shorter parts sentences, longer holds their end back.
  silenceMsDefault: 800,
  // SOURCE: ours; the voice detector hears a silence itself, tokens only tell that no word began.
  // WHY: as for the silence between words.
  segmentSilenceMsDefault: 500,
  // SOURCE: ours: the closure of a plosive is shorter.
  // WHY: silences inside words would end utterances.
  silenceMsMin: 100,
  // SOURCE: ours.
  // WHY: a mistyped number should be an error.
  silenceMsMax: 10000,
  // SOURCE: ours: readers want sentences, not pages.
  // WHY: speech without a pause would never become final.
  utteranceMsDefault: 20000,
  // SOURCE: ours.
  // WHY: below it utterances are single words.
  utteranceMsMin: 1000,
  // SOURCE: ours; a session holds the text of one utterance.
  // WHY: as for the default.
  utteranceMsMax: 600000,
  // SOURCE: the longest window less context on one side.
  // WHY: a segment is decoded as a whole.
  segmentMsMax: 28000,
  // SOURCE: ours; a row of a lane holds about 5 MB.
  // WHY: a mistyped number should be an error, not an exhausted machine.
  batchMax: 64,
  // SOURCE: ours; docs/DECISION_LOG.md.
  // WHY: where batches pay, most of the gain is there.
  batchDefault: 8,
  // SOURCE: ours.
  // WHY: text that waits longer is not live.
  batchWaitMsMax: 1000,
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
