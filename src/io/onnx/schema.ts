/**
 * The messages of an ONNX file as TypeScript, generated from the ONNX project's onnx.proto (`generated/`, made by scripts/protobuf-schemas.mjs),
 * under one name for the rest of this folder. `create(NodeProtoSchema, { … })` makes a message; 64-bit integers are bigints.
 */

export { create } from '@bufbuild/protobuf';
export {
  type AttributeProto,
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  type FunctionProto,
  FunctionProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type OperatorSetIdProto,
  OperatorSetIdProtoSchema,
  type SparseTensorProto,
  SparseTensorProtoSchema,
  type StringStringEntryProto,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  type TensorShapeProto,
  type TensorShapeProto_Dimension as Dimension,
  TensorShapeProto_DimensionSchema as DimensionSchema,
  TensorShapeProtoSchema,
  type TypeProto,
  type TypeProto_Tensor as TensorType,
  TypeProto_TensorSchema as TensorTypeSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './generated/onnx_pb.js';
