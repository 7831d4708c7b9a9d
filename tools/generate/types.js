'use strict';
// JSON Schema -> TypeScript, for the part of draft-07 that contracts/schema.json uses; anything else is an error.

const INDENT = '  ';

/** max_symbols -> MaxSymbols */
function typeName(name) {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter) => letter.toUpperCase());
}

function refName(ref) {
  const match = /^#\/definitions\/(\w+)$/.exec(ref);
  if (match === null) throw new Error(`a reference that is not understood: ${ref}`);
  return match[1];
}

function literal(value) {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
}

class Types {
  constructor(schema) {
    this.definitions = schema.definitions;
  }

  /** Definitions of objects become interfaces; those of numbers and strings are written out where they are used. */
  isNamed(name) {
    return this.definitions[name].type === 'object' && this.definitions[name].properties !== undefined;
  }

  of(node, depth) {
    if (node.$ref !== undefined) {
      const name = refName(node.$ref);
      return this.isNamed(name) ? `Contract${typeName(name)}` : this.of(this.definitions[name], depth);
    }
    if (node.const !== undefined) return literal(node.const);
    if (node.enum !== undefined) return node.enum.map(literal).join(' | ');
    if (node.anyOf !== undefined) return node.anyOf.map((part) => this.of(part, depth)).join(' | ');
    switch (node.type) {
      case 'integer':
      case 'number':
        return 'number';
      case 'string':
      case 'boolean':
        return node.type;
      case 'array': {
        const item = this.of(node.items, depth);
        return item.includes(' | ') ? `(${item})[]` : `${item}[]`;
      }
      case 'object':
        return node.properties === undefined
          ? `Record<string, ${this.of(node.additionalProperties, depth)}>`
          : this.object(node, depth);
      default:
        throw new Error(`a schema that is not understood: ${JSON.stringify(node)}`);
    }
  }

  object(node, depth) {
    const inner = INDENT.repeat(depth + 1);
    const lines = Object.entries(node.properties).map(([name, property]) => {
      const comment = property.description === undefined ? '' : `${inner}/** ${property.description} */\n`;
      const optional = node.required.includes(name) ? '' : '?';
      return `${comment}${inner}${name}${optional}: ${this.of(property, depth + 1)};\n`;
    });
    return `{\n${lines.join('')}${INDENT.repeat(depth)}}`;
  }

  interface(name, node) {
    const comment = node.description === undefined ? '' : `/** ${node.description} */\n`;
    return `${comment}export interface ${name} ${this.object(node, 0)}\n`;
  }
}

function typesText(schema) {
  const types = new Types(schema);
  const parts = [types.interface('Contract', schema)];
  for (const [name, node] of Object.entries(schema.definitions)) {
    if (types.isNamed(name)) parts.push(types.interface(`Contract${typeName(name)}`, node));
  }
  return `// Written by \`npm run generate\` from contracts/schema.json.\n\n${parts.join('\n')}`;
}

module.exports = { typesText };
