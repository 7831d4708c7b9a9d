'use strict';
// A plot from a Vega-Lite description to a PNG file.

const fs = require('node:fs');

const COMMON = {
  $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
  background: 'white',
  config: { font: 'DejaVu Sans, Arial, sans-serif', legend: { labelLimit: 0 } },
};

async function writePicture(description, file) {
  const [vega, vegaLite] = await Promise.all([import('vega'), import('vega-lite')]);
  const { Resvg } = require('@resvg/resvg-js');
  const compiled = vegaLite.compile({ ...COMMON, ...description });
  const view = new vega.View(vega.parse(compiled.spec), { renderer: 'none' });
  const svg = await view.toSVG();
  view.finalize();
  // Twice the size, for screens of fine pixels.
  fs.writeFileSync(file, new Resvg(svg, { fitTo: { mode: 'zoom', value: 2 } }).render().asPng());
}

module.exports = { writePicture };
