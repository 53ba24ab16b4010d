/**
 * The lines of a TensorBoard log, each an `Event` in a TFRecord frame: scalars over steps, texts, and where a session began. A file begins with its
 * version; a session that resumes a run begins with a mark that makes readers forget what was logged from its first step on.
 */

import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { EventSchema, SessionLog_SessionStatus as Status } from './generated/event_pb.js';
import { frame } from './records.js';

/** When, on which step. `wallTime` in seconds since 1970. */
export interface Moment {
  readonly step: number;
  readonly wallTime: number;
}

export function versionEvent(wallTime: number): Uint8Array {
  return event({ step: 0, wallTime }, { case: 'fileVersion', value: 'brain.Event:2' });
}

/** Whatever was logged at this step or later, in files before this one, no longer counts. */
export function startEvent(moment: Moment): Uint8Array {
  return event(moment, { case: 'sessionLog', value: { status: Status.START } });
}

/** Numbers by tag: a tag is a plot, `loss/train` one in the section 'loss'. */
export function scalarsEvent(moment: Moment, scalars: Readonly<Record<string, number>>): Uint8Array {
  const value = Object.entries(scalars).map(([tag, number]) => ({
    tag,
    value: { case: 'simpleValue' as const, value: number },
  }));
  return event(moment, { case: 'summary', value: { value } });
}

/** A text, shown as Markdown. */
export function textEvent(moment: Moment, tag: string, text: string): Uint8Array {
  const tensor = {
    dtype: stringType,
    tensorShape: { dim: [{ size: 1n }] },
    stringVal: [new TextEncoder().encode(text)],
  };
  const value = {
    tag,
    value: { case: 'tensor' as const, value: tensor },
    metadata: { pluginData: { pluginName: 'text' } },
  };
  return event(moment, { case: 'summary', value: { value: [value] } });
}

/** DT_STRING of tensorflow/core/framework/types.proto. */
const stringType = 7;

function event({ step, wallTime }: Moment, what: MessageInitShape<typeof EventSchema>['what']): Uint8Array {
  return frame(toBinary(EventSchema, create(EventSchema, { wallTime, step: BigInt(step), what })));
}
