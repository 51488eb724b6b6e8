"""The one table of Caffe's fields: number, name, kind, default.

The facts are those of `src/caffe/proto/caffe.proto` of BVLC/caffe (BSD-2; the master branch), with
`permute_param` of the SSD fork and the raw float16 data of NVIDIA's fork, which OpenCV's
`shrinkCaffeModel` writes (`modules/dnn/src/caffe/opencv-caffe.proto`). `ceil_mode` is an older spelling of
`round_mode` (BVLC/caffe pull request 3057) that lives on in prototxts; number 0 keeps it out of the binary form,
where both have the number 13. What is not in the table is not an error: both readers keep the name of an unknown
field and go on.

A row reads `number name kind`, with `*` behind the kind of a repeated field and `=` before a default.
The kind is a scalar (int uint float bool string bytes), an array that is read as one block and never
number by number (floats doubles), an enum or a message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ARRAYS: Mapping[str, str] = {"floats": "<f4", "doubles": "<f8"}  # kind -> NumPy's name of one item


@dataclass(frozen=True)
class Field:
    """One row of the table.

    Attributes:
        number: the field's number in the binary form.
        kind: a scalar, an array, the name of an enum or of a message.
        default: what an absent field means; None for messages and repeated fields.
    """

    number: int
    name: str
    kind: str
    repeated: bool = False
    default: Any = None

    @property
    def is_message(self) -> bool:
        return self.kind in SCHEMA


def _numbered(names: str, start: int = 0) -> dict[int, str]:
    return dict(enumerate(names.split(), start))


ENUMS: Mapping[str, Mapping[int, str]] = {
    "Phase": _numbered("TRAIN TEST"),
    "Engine": _numbered("DEFAULT CAFFE CUDNN"),
    "DimCheckMode": _numbered("STRICT PERMISSIVE"),
    "VarianceNorm": _numbered("FAN_IN FAN_OUT AVERAGE"),
    "PoolMethod": _numbered("MAX AVE STOCHASTIC"),
    "RoundMode": _numbered("CEIL FLOOR"),
    "EltwiseOp": _numbered("PROD SUM MAX"),
    "NormRegion": _numbered("ACROSS_CHANNELS WITHIN_CHANNEL"),
    "ReductionOp": _numbered("SUM ASUM SUMSQ MEAN", start=1),
    "NormalizationMode": _numbered("FULL VALID BATCH_SIZE NONE"),
    "HingeNorm": _numbered("L1 L2", start=1),
    "DB": _numbered("LEVELDB LMDB"),
    "RawType": _numbered("DOUBLE FLOAT FLOAT16 INT UINT"),
    # The layer types of V1 (`layers`), in the order of their numbers.
    "LayerType": _numbered(
        "NONE ACCURACY BNLL CONCAT CONVOLUTION DATA DROPOUT EUCLIDEAN_LOSS FLATTEN HDF5_DATA HDF5_OUTPUT IM2COL "
        "IMAGE_DATA INFOGAIN_LOSS INNER_PRODUCT LRN MULTINOMIAL_LOGISTIC_LOSS POOLING RELU SIGMOID SOFTMAX "
        "SOFTMAX_LOSS SPLIT TANH WINDOW_DATA ELTWISE POWER SIGMOID_CROSS_ENTROPY_LOSS HINGE_LOSS MEMORY_DATA ARGMAX "
        "THRESHOLD DUMMY_DATA SLICE MVN ABSVAL SILENCE CONTRASTIVE_LOSS EXP DECONVOLUTION"
    ),
}

# V1's types are the words of V2's in capitals, save these.
_V1_EXCEPTIONS = {
    "ABSVAL": "AbsVal",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "IM2COL": "Im2col",
    "LRN": "LRN",
    "MVN": "MVN",
    "RELU": "ReLU",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "TANH": "TanH",
}
V1_TYPES: Mapping[str, str] = {
    name: _V1_EXCEPTIONS.get(name, name.title().replace("_", "")) for name in ENUMS["LayerType"].values()
}

_TABLE = {
    "BlobShape": "1 dim int*",
    "BlobProto": """
        1 num int=0, 2 channels int=0, 3 height int=0, 4 width int=0, 7 shape BlobShape,
        5 data floats, 6 diff floats, 8 double_data doubles, 9 double_diff doubles,
        10 raw_data_type RawType=DOUBLE, 12 raw_data bytes""",
    "NetParameter": """
        1 name string, 3 input string*, 8 input_shape BlobShape*, 4 input_dim int*, 5 force_backward bool=false,
        6 state NetState, 7 debug_info bool=false, 100 layer LayerParameter*, 2 layers V1LayerParameter*""",
    "NetState": "1 phase Phase=TEST, 2 level int=0, 3 stage string*",
    "NetStateRule": "1 phase Phase=TRAIN, 2 min_level int=0, 3 max_level int=0, 4 stage string*, 5 not_stage string*",
    "ParamSpec": "1 name string, 2 share_mode DimCheckMode=STRICT, 3 lr_mult float=1, 4 decay_mult float=1",
    "FillerParameter": """
        1 type string=constant, 2 value float=0, 3 min float=0, 4 max float=1, 5 mean float=0, 6 std float=1,
        7 sparse int=-1, 8 variance_norm VarianceNorm=FAN_IN""",
    "LayerParameter": """
        1 name string, 2 type string, 3 bottom string*, 4 top string*, 10 phase Phase=TRAIN, 5 loss_weight float*,
        6 param ParamSpec*, 7 blobs BlobProto*, 11 propagate_down bool*, 8 include NetStateRule*,
        9 exclude NetStateRule*, 100 transform_param TransformationParameter, 101 loss_param LossParameter,
        102 accuracy_param AccuracyParameter, 103 argmax_param ArgMaxParameter, 104 concat_param ConcatParameter,
        105 contrastive_loss_param ContrastiveLossParameter, 106 convolution_param ConvolutionParameter,
        107 data_param DataParameter, 108 dropout_param DropoutParameter, 109 dummy_data_param DummyDataParameter,
        110 eltwise_param EltwiseParameter, 111 exp_param ExpParameter, 112 hdf5_data_param HDF5DataParameter,
        113 hdf5_output_param HDF5OutputParameter, 114 hinge_loss_param HingeLossParameter,
        115 image_data_param ImageDataParameter, 116 infogain_loss_param InfogainLossParameter,
        117 inner_product_param InnerProductParameter, 118 lrn_param LRNParameter,
        119 memory_data_param MemoryDataParameter, 120 mvn_param MVNParameter, 121 pooling_param PoolingParameter,
        122 power_param PowerParameter, 123 relu_param ReLUParameter, 124 sigmoid_param SigmoidParameter,
        125 softmax_param SoftmaxParameter, 126 slice_param SliceParameter, 127 tanh_param TanHParameter,
        128 threshold_param ThresholdParameter, 129 window_data_param WindowDataParameter,
        130 python_param PythonParameter, 131 prelu_param PReLUParameter, 132 spp_param SPPParameter,
        133 reshape_param ReshapeParameter, 134 log_param LogParameter, 135 flatten_param FlattenParameter,
        136 reduction_param ReductionParameter, 137 embed_param EmbedParameter, 138 tile_param TileParameter,
        139 batch_norm_param BatchNormParameter, 140 elu_param ELUParameter, 141 bias_param BiasParameter,
        142 scale_param ScaleParameter, 143 input_param InputParameter, 144 crop_param CropParameter,
        145 parameter_param ParameterParameter, 146 recurrent_param RecurrentParameter, 147 swish_param SwishParameter,
        148 clip_param ClipParameter, 202 permute_param PermuteParameter""",
    "V1LayerParameter": """
        1 layer V0LayerParameter, 4 name string, 5 type LayerType=NONE, 2 bottom string*, 3 top string*,
        32 include NetStateRule*, 33 exclude NetStateRule*, 6 blobs BlobProto*, 1001 param string*,
        1002 blob_share_mode DimCheckMode*, 7 blobs_lr float*, 8 weight_decay float*, 35 loss_weight float*,
        27 accuracy_param AccuracyParameter, 23 argmax_param ArgMaxParameter, 9 concat_param ConcatParameter,
        40 contrastive_loss_param ContrastiveLossParameter, 10 convolution_param ConvolutionParameter,
        11 data_param DataParameter, 12 dropout_param DropoutParameter, 26 dummy_data_param DummyDataParameter,
        24 eltwise_param EltwiseParameter, 41 exp_param ExpParameter, 13 hdf5_data_param HDF5DataParameter,
        14 hdf5_output_param HDF5OutputParameter, 29 hinge_loss_param HingeLossParameter,
        15 image_data_param ImageDataParameter, 16 infogain_loss_param InfogainLossParameter,
        17 inner_product_param InnerProductParameter, 18 lrn_param LRNParameter,
        22 memory_data_param MemoryDataParameter, 34 mvn_param MVNParameter, 19 pooling_param PoolingParameter,
        21 power_param PowerParameter, 30 relu_param ReLUParameter, 38 sigmoid_param SigmoidParameter,
        39 softmax_param SoftmaxParameter, 31 slice_param SliceParameter, 37 tanh_param TanHParameter,
        25 threshold_param ThresholdParameter, 20 window_data_param WindowDataParameter,
        36 transform_param TransformationParameter, 42 loss_param LossParameter""",
    # Of V0 only as much as tells that a file is V0.
    "V0LayerParameter": "1 name string, 2 type string",
    "TransformationParameter": """
        1 scale float=1, 2 mirror bool=false, 3 crop_size uint=0, 4 mean_file string, 5 mean_value float*,
        6 force_color bool=false, 7 force_gray bool=false""",
    "LossParameter": "1 ignore_label int=0, 3 normalization NormalizationMode=VALID, 2 normalize bool=false",
    "AccuracyParameter": "1 top_k uint=1, 2 axis int=1, 3 ignore_label int=0",
    "ArgMaxParameter": "1 out_max_val bool=false, 2 top_k uint=1, 3 axis int=0",
    "BatchNormParameter": "1 use_global_stats bool=false, 2 moving_average_fraction float=.999, 3 eps float=1e-5",
    "BiasParameter": "1 axis int=1, 2 num_axes int=1, 3 filler FillerParameter",
    "ClipParameter": "1 min float=0, 2 max float=0",
    "ConcatParameter": "2 axis int=1, 1 concat_dim uint=1",
    "ContrastiveLossParameter": "1 margin float=1, 2 legacy_version bool=false",
    "ConvolutionParameter": """
        1 num_output uint=0, 2 bias_term bool=true, 3 pad uint*, 4 kernel_size uint*, 6 stride uint*, 18 dilation uint*,
        9 pad_h uint=0, 10 pad_w uint=0, 11 kernel_h uint=0, 12 kernel_w uint=0, 13 stride_h uint=0, 14 stride_w uint=0,
        5 group uint=1, 7 weight_filler FillerParameter, 8 bias_filler FillerParameter, 15 engine Engine=DEFAULT,
        16 axis int=1, 17 force_nd_im2col bool=false""",
    "CropParameter": "1 axis int=2, 2 offset uint*",
    "DataParameter": """
        1 source string, 4 batch_size uint=0, 7 rand_skip uint=0, 8 backend DB=LEVELDB, 2 scale float=1,
        3 mean_file string, 5 crop_size uint=0, 6 mirror bool=false, 9 force_encoded_color bool=false,
        10 prefetch uint=4""",
    "DropoutParameter": "1 dropout_ratio float=0.5",
    "DummyDataParameter": """
        1 data_filler FillerParameter*, 6 shape BlobShape*, 2 num uint*, 3 channels uint*, 4 height uint*,
        5 width uint*""",
    "EltwiseParameter": "1 operation EltwiseOp=SUM, 2 coeff float*, 3 stable_prod_grad bool=true",
    "ELUParameter": "1 alpha float=1",
    "EmbedParameter": """
        1 num_output uint=0, 2 input_dim uint=0, 3 bias_term bool=true, 4 weight_filler FillerParameter,
        5 bias_filler FillerParameter""",
    "ExpParameter": "1 base float=-1, 2 scale float=1, 3 shift float=0",
    "FlattenParameter": "1 axis int=1, 2 end_axis int=-1",
    "HDF5DataParameter": "1 source string, 2 batch_size uint=0, 3 shuffle bool=false",
    "HDF5OutputParameter": "1 file_name string",
    "HingeLossParameter": "1 norm HingeNorm=L1",
    "ImageDataParameter": """
        1 source string, 4 batch_size uint=1, 7 rand_skip uint=0, 8 shuffle bool=false, 9 new_height uint=0,
        10 new_width uint=0, 11 is_color bool=true, 2 scale float=1, 3 mean_file string, 5 crop_size uint=0,
        6 mirror bool=false, 12 root_folder string""",
    "InfogainLossParameter": "1 source string, 2 axis int=1",
    "InnerProductParameter": """
        1 num_output uint=0, 2 bias_term bool=true, 3 weight_filler FillerParameter, 4 bias_filler FillerParameter,
        5 axis int=1, 6 transpose bool=false""",
    "InputParameter": "1 shape BlobShape*",
    "LogParameter": "1 base float=-1, 2 scale float=1, 3 shift float=0",
    "LRNParameter": """
        1 local_size uint=5, 2 alpha float=1, 3 beta float=0.75, 4 norm_region NormRegion=ACROSS_CHANNELS,
        5 k float=1, 6 engine Engine=DEFAULT""",
    "MemoryDataParameter": "1 batch_size uint=0, 2 channels uint=0, 3 height uint=0, 4 width uint=0",
    "MVNParameter": "1 normalize_variance bool=true, 2 across_channels bool=false, 3 eps float=1e-9",
    "ParameterParameter": "1 shape BlobShape",
    "PermuteParameter": "1 order uint*",
    "PoolingParameter": """
        1 pool PoolMethod=MAX, 4 pad uint=0, 9 pad_h uint=0, 10 pad_w uint=0, 2 kernel_size uint=0, 5 kernel_h uint=0,
        6 kernel_w uint=0, 3 stride uint=1, 7 stride_h uint=0, 8 stride_w uint=0, 11 engine Engine=DEFAULT,
        12 global_pooling bool=false, 13 round_mode RoundMode=CEIL, 0 ceil_mode bool=true""",
    "PowerParameter": "1 power float=1, 2 scale float=1, 3 shift float=0",
    "PReLUParameter": "1 filler FillerParameter, 2 channel_shared bool=false",
    "PythonParameter": "1 module string, 2 layer string, 3 param_str string, 4 share_in_parallel bool=false",
    "RecurrentParameter": """
        1 num_output uint=0, 2 weight_filler FillerParameter, 3 bias_filler FillerParameter, 4 debug_info bool=false,
        5 expose_hidden bool=false""",
    "ReductionParameter": "1 operation ReductionOp=SUM, 2 axis int=0, 3 coeff float=1",
    "ReLUParameter": "1 negative_slope float=0, 2 engine Engine=DEFAULT",
    "ReshapeParameter": "1 shape BlobShape, 2 axis int=0, 3 num_axes int=-1",
    "ScaleParameter": """
        1 axis int=1, 2 num_axes int=1, 3 filler FillerParameter, 4 bias_term bool=false,
        5 bias_filler FillerParameter""",
    "SigmoidParameter": "1 engine Engine=DEFAULT",
    "SliceParameter": "3 axis int=1, 2 slice_point uint*, 1 slice_dim uint=1",
    "SoftmaxParameter": "1 engine Engine=DEFAULT, 2 axis int=1",
    "SPPParameter": "1 pyramid_height uint=0, 2 pool PoolMethod=MAX, 6 engine Engine=DEFAULT",
    "SwishParameter": "1 beta float=1",
    "TanHParameter": "1 engine Engine=DEFAULT",
    "ThresholdParameter": "1 threshold float=0",
    "TileParameter": "1 axis int=1, 2 tiles int=0",
    "WindowDataParameter": """
        1 source string, 2 scale float=1, 3 mean_file string, 4 batch_size uint=0, 5 crop_size uint=0,
        6 mirror bool=false, 7 fg_threshold float=0.5, 8 bg_threshold float=0.5, 9 fg_fraction float=0.25,
        10 context_pad uint=0, 11 crop_mode string=warp, 12 cache_images bool=false, 13 root_folder string""",
}

_DEFAULTS: Mapping[str, Any] = {"string": "", "bytes": b"", "floats": (), "doubles": ()}
_READ: Mapping[str, Any] = {"int": int, "uint": int, "float": float, "bool": lambda word: word == "true"}


def _field(row: str) -> Field:
    number, name, kind = row.split()
    kind, _, default = kind.partition("=")
    if kind.endswith("*"):
        return Field(int(number), name, kind.removesuffix("*"), repeated=True)
    if not default:
        return Field(int(number), name, kind, default=_DEFAULTS.get(kind))
    return Field(int(number), name, kind, default=_READ.get(kind, str)(default))


SCHEMA: Mapping[str, Mapping[str, Field]] = {
    kind: {field.name: field for field in map(_field, rows.split(","))} for kind, rows in _TABLE.items()
}
