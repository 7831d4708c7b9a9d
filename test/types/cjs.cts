// How a TypeScript consumer writes it in CommonJS. Compiled, never run.
import asr = require('trt-asr');

export async function example(file: string): Promise<string> {
  const recognizer: asr.Recognizer = await asr.Recognizer.open({ model: 'demo-en' });
  try {
    const transcript: asr.Transcript = await recognizer.transcribe(file);
    return transcript.text;
  } catch (error) {
    if (error instanceof asr.AsrError && error.code === 'ERR_AUDIO_DECODE') return error.message;
    throw error;
  } finally {
    await recognizer.close();
  }
}

export function build(model: string): Promise<asr.BuiltEngine[]> {
  const options: asr.BuildEnginesOptions = { model, precision: 'fp32', engineCacheDir: '/var/cache/engines' };
  return asr.buildEngines(options);
}
