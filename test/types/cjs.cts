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

export async function live(
  recognizer: asr.Recognizer,
  microphone: AsyncIterable<Float32Array>,
): Promise<string[]> {
  const session: asr.Session = recognizer.openSession({ sampleRateHz: 44_100 });
  const options: asr.SessionsOptions = { mode: 'segment', vad: { silero: '/opt/silero_vad.onnx' } };
  await session.write(new Float32Array(441));
  await session.close();
  const texts = [JSON.stringify(options)];
  for await (const event of recognizer.stream(microphone)) if (event.type === 'final') texts.push(event.text);
  return texts;
}
