'use strict';
// The bounds and defaults that the core and the library share: a C++ header and a TypeScript module.

/** Name -> the schema's keyword that says it. `max` of an enumeration is its largest member. */
const SCHEMA_LIMITS = {
  vocabulary_max: ['vocabulary', 'maximum'],
  subsampling_max: ['subsampling', 'maximum'],
  symbols_per_frame_max: ['max_symbols_per_frame', 'maximum'],
  sample_rate_hz_max: ['features.sample_rate_hz', 'maximum'],
  mel_bins_max: ['features.mel_bins', 'maximum'],
  fft_samples_min: ['features.fft_samples', 'least'],
  fft_samples_max: ['features.fft_samples', 'largest'],
  window_samples_min: ['features.window_samples', 'minimum'],
  hop_samples_min: ['features.hop_samples', 'minimum'],
};

function schemaValue(schema, [where, keyword]) {
  const [definition, property] = where.split('.');
  const node = schema.definitions[definition];
  const found = property === undefined ? node : node.properties[property];
  if (keyword === 'least') return Math.min(...found.enum);
  if (keyword === 'largest') return Math.max(...found.enum);
  if (typeof found[keyword] !== 'number') throw new Error(`contracts/schema.json: no ${keyword} of ${where}`);
  return found[keyword];
}

/** [name, value, comment lines] of every limit, those of limits.json first. */
function allLimits(schema, limits) {
  const own = Object.entries(limits)
    .filter(([name]) => name !== 'schema')
    .map(([name, { value, source, why }]) => [name, value, [`SOURCE: ${source}.`, `WHY: ${why}.`]]);
  const { items, maxItems } = schema.properties.decode.properties.durations;
  const bounds = Object.entries(SCHEMA_LIMITS).map(([name, place]) => [name, schemaValue(schema, place), []]);
  return [...own, ...bounds, ['durations_max', maxItems, []], ['duration_frames_max', items.maximum, []]];
}

const HEAD = 'Written by `npm run generate` from contracts/.';

function headerText(schema, limits, reference) {
  const constant = ([name, value, comments]) =>
    [...comments.map((line) => `// ${line}`), `inline constexpr std::int32_t ${name} = ${value};`].join('\n');
  const { features, encoder, decode } = reference;
  const integers = ['sample_rate_hz', 'mel_bins', 'fft_samples', 'window_samples', 'hop_samples'];
  const reals = ['pre_emphasis', 'mel_low_hz', 'mel_high_hz', 'log_guard', 'normalization_epsilon'];
  const durations = decode.durations;
  return `#pragma once
// ${HEAD}

#include <array>
#include <cstdint>

/// Bounds of what a contract or a caller may say: against damaged files and mistyped numbers. SOURCE:
/// contracts/schema.json and contracts/limits.json.
namespace trt_asr::limits {

${allLimits(schema, limits).map(constant).join('\n')}

}  // namespace trt_asr::limits

/// What a model without a contract is taken to be. SOURCE: contracts/${reference.model.name}.contract.json.
namespace trt_asr::reference {

${integers.map((name) => `inline constexpr std::int32_t ${name} = ${features[name]};`).join('\n')}
${reals.map((name) => `inline constexpr double ${name} = ${features[name]};`).join('\n')}
inline constexpr std::int32_t subsampling = ${encoder.subsampling};
inline constexpr std::int32_t frames_max = ${encoder.frames_max};
inline constexpr std::int32_t max_symbols_per_frame = ${decode.max_symbols_per_frame};
inline constexpr std::array<std::int32_t, ${durations.length}> durations = {${durations.join(', ')}};

}  // namespace trt_asr::reference
`;
}

/** sessions_max -> sessionsMax */
function camel(name) {
  return name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
}

function limitsText(schema, limits) {
  const lines = allLimits(schema, limits).map(([name, value, comments]) => {
    const comment = comments.map((line) => `  // ${line}\n`).join('');
    return `${comment}  ${camel(name)}: ${value},\n`;
  });
  return `// ${HEAD}

/** Bounds of what a contract or a caller may say, shared with the core. */
export const limits = {
${lines.join('')}} as const;
`;
}

module.exports = { headerText, limitsText };
