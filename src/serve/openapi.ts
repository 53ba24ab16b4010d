/** The description of the server for programs: OpenAPI 3.1. A test sends the requests it describes and compares the answers with its schemas. */

import { mostFiles } from './limits.js';

/** A piece of JSON. */
type Part = Readonly<Record<string, unknown>>;

export interface Described {
  readonly version: string;
  readonly modelName: string;
  readonly classes: readonly string[];
  readonly maxBytes: number;
  readonly token: boolean;
}

export function openApi({ version, modelName, classes, maxBytes, token }: Described): Part {
  const refusals = (...statuses: (keyof typeof refusalTexts)[]) =>
    Object.fromEntries(statuses.map((status) => [status, refusal(refusalTexts[status])]));
  const security = token ? { security: [{ token: [] }] } : {};
  const unauthorized = token ? refusals('401') : {};
  const predict: Part = {
    operationId: 'predict',
    summary: 'Say what is in a picture, or in several',
    ...security,
    parameters: [
      {
        name: 'top',
        in: 'query',
        description: 'How many classes to answer with, the likeliest first.',
        schema: { type: 'integer', minimum: 1, maximum: classes.length, default: Math.min(5, classes.length) },
      },
    ],
    requestBody: {
      required: true,
      description: `The bytes of a picture (JPEG, PNG, WebP, GIF, AVIF, TIFF), or a form with up to ${mostFiles} files; at most ${maxBytes} bytes.`,
      content: {
        'image/*': { schema: { type: 'string', format: 'binary' } },
        'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
        'multipart/form-data': {
          schema: {
            type: 'object',
            additionalProperties: {
              oneOf: [
                { type: 'string', format: 'binary' },
                { type: 'array', items: { type: 'string', format: 'binary' } },
              ],
            },
          },
        },
      },
    },
    responses: {
      '200': json('What is in the picture, or in each of several files', {
        oneOf: [ref('Answer'), ref('Answers')],
      }),
      ...unauthorized,
      ...refusals('400', '408', '413', '415', '500', '503', '504'),
    },
  };
  return {
    openapi: '3.1.0',
    info: {
      title: `${modelName} served by fovea`,
      version,
      description: `Pictures in, classes out: ${classes.length} classes.`,
    },
    paths: {
      '/predict': { post: predict },
      '/': {
        get: {
          summary: 'A page to try it',
          responses: { '200': { description: 'HTML', content: { 'text/html': {} } } },
        },
        post: { ...predict, operationId: 'predictAtRoot' },
      },
      '/healthz': {
        get: {
          summary: 'Whether the server takes requests',
          responses: {
            '200': json('It does', ref('Health')),
            '503': json('It is stopping', ref('Health')),
          },
        },
      },
      '/metrics': {
        get: {
          summary: 'Counters, in the text format of Prometheus',
          ...security,
          responses: { '200': { description: 'Metrics', content: { 'text/plain': {} } }, ...unauthorized },
        },
      },
      '/openapi.json': {
        get: { summary: 'This description', responses: { '200': json('OpenAPI', { type: 'object' }) } },
      },
    },
    components: {
      ...(token && { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } }),
      schemas: {
        Prediction: record({
          class: { type: 'string', description: 'Name of the class.' },
          index: {
            type: 'integer',
            minimum: 0,
            maximum: classes.length - 1,
            description: 'Its place among the outputs.',
          },
          probability: { type: 'number', minimum: 0, maximum: 1 },
        }),
        Answer: record({
          predictions: { type: 'array', items: ref('Prediction'), description: 'Likeliest first.' },
          ...always,
        }),
        Answers: record({
          pictures: {
            type: 'array',
            description:
              'Of each file of the form, in its order. A file that is no picture does not keep the others from being answered.',
            items: {
              oneOf: [
                record({ file: { type: 'string' }, predictions: { type: 'array', items: ref('Prediction') } }),
                record({ file: { type: 'string' }, error: ref('Refusal') }),
              ],
            },
          },
          ...always,
        }),
        Refusal: record({
          code: { type: 'string', description: 'A word that stays the same from version to version.' },
          message: { type: 'string', description: 'What is wrong, and what would be right.' },
        }),
        Error: record({ error: ref('Refusal') }),
        Health: record({ status: { type: 'string', enum: ['ok', 'stopping'] }, model: { type: 'string' } }),
      },
    },
  };
}

const always: Part = {
  model: { type: 'string', description: 'Name of the architecture.' },
  milliseconds: { type: 'number', minimum: 0, description: 'From the request to the answer, as the server saw it.' },
};

const refusalTexts = {
  '400': 'Not a picture, or a damaged one; a broken form; a wrong parameter',
  '401': 'The token is missing or wrong',
  '408': 'The body did not arrive in time',
  '413': 'More bytes or pixels than the server takes',
  '415': 'A Content-Type that holds no picture',
  '500': 'The picture could not be computed',
  '503': 'Too many pictures wait already, or the server is stopping: see Retry-After',
  '504': 'The answer was not ready in time',
} as const;

function ref(name: string): Part {
  return { $ref: `#/components/schemas/${name}` };
}

function record(properties: Record<string, unknown>): Part {
  return { type: 'object', required: Object.keys(properties), properties, additionalProperties: false };
}

function json(description: string, schema: Part): Part {
  return { description, content: { 'application/json': { schema } } };
}

function refusal(description: string): Part {
  return json(description, ref('Error'));
}
