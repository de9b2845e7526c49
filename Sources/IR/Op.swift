/// Every operation of the IR. A switch over it has no `default`, so that a new case fails to compile wherever it is not handled.
public enum Op: Hashable, Sendable {
    // image and tensor shape
    case normalize(Normalize)
    case extractPatches(ExtractPatches)
    case gatherWindows(GatherWindows)
    case averageWindows(AverageWindows)
    case windowAttention(WindowAttention)
    case concatenate(Concatenate)
    case slice(Slice)
    case gatherRows(GatherRows)
    case reshape(Reshape)
    case transpose(Transpose)
    case embed(Embed)
    // arithmetic
    case matmul(Matmul)
    case add(Add)
    case multiply(Multiply)
    case scale(Scale)
    case power(Power)
    case activation(Activation)
    case gate(Gate)
    case layerNorm(LayerNorm)
    case rmsNorm(RMSNorm)
    // precision
    case quantize(Quantize)
    case pack(Pack)
    // attention
    case rotary(Rotary)
    case reserve(Reserve)
    case cacheStore(CacheStore)
    case attention(Attention)
    // token reduction
    case attentionScores(AttentionScores)
    case keepRows(KeepRows)
    case findRows(FindRows)
    case visionIndices(VisionIndices)
    case strideRows(StrideRows)
    case strideMeans(StrideMeans)
    case rowAttention(RowAttention)
    case topRows(TopRows)
    case complementRows(ComplementRows)
    case meanHeads(MeanHeads)
    case unitRows(UnitRows)
    case clusterRows(ClusterRows)
    case segmentMeans(SegmentMeans)
    case outlierRows(OutlierRows)
    case appendSamples(AppendSamples)
    case mergeNeighbours(MergeNeighbours)
    case padList(PadList)
    case matchRows(MatchRows)
    case rowPlaces(RowPlaces)
    case segmentSizes(SegmentSizes)
    case log(Logarithm)
    case softmaxSimilarity(SoftmaxSimilarity)
    case greedyCover(GreedyCover)
    case raterRows(RaterRows)
    case rotaryScores(RotaryScores)
    case raterAttention(RaterAttention)
    case rankCounts(RankCounts)
    case recycleDensity(RecycleDensity)
    case recycleRows(RecycleRows)
    case recycleMerge(RecycleMerge)
    case prefusionRows(PrefusionRows)
    case trimRows(TrimRows)
    case replaceRows(ReplaceRows)
    case resizeGrid(ResizeGrid)
    case splitRows(SplitRows)
    case maskHeads(MaskHeads)
    case patchAttention(PatchAttention)
    case similarWindows(SimilarWindows)
    case windowMeans(WindowMeans)
    case keyRows(KeyRows)
    case postRows(PostRows)
    case thresholdRows(ThresholdRows)
    case cacheKeep(CacheKeep)
    case release(Release)

    public var payload: any OperationPayload {
        switch self {
        case .normalize(let payload): payload
        case .extractPatches(let payload): payload
        case .gatherWindows(let payload): payload
        case .averageWindows(let payload): payload
        case .windowAttention(let payload): payload
        case .concatenate(let payload): payload
        case .slice(let payload): payload
        case .gatherRows(let payload): payload
        case .reshape(let payload): payload
        case .transpose(let payload): payload
        case .embed(let payload): payload
        case .matmul(let payload): payload
        case .add(let payload): payload
        case .multiply(let payload): payload
        case .scale(let payload): payload
        case .power(let payload): payload
        case .activation(let payload): payload
        case .gate(let payload): payload
        case .layerNorm(let payload): payload
        case .rmsNorm(let payload): payload
        case .quantize(let payload): payload
        case .pack(let payload): payload
        case .rotary(let payload): payload
        case .reserve(let payload): payload
        case .cacheStore(let payload): payload
        case .attention(let payload): payload
        case .attentionScores(let payload): payload
        case .keepRows(let payload): payload
        case .findRows(let payload): payload
        case .visionIndices(let payload): payload
        case .strideRows(let payload): payload
        case .strideMeans(let payload): payload
        case .rowAttention(let payload): payload
        case .topRows(let payload): payload
        case .complementRows(let payload): payload
        case .meanHeads(let payload): payload
        case .unitRows(let payload): payload
        case .clusterRows(let payload): payload
        case .segmentMeans(let payload): payload
        case .outlierRows(let payload): payload
        case .appendSamples(let payload): payload
        case .mergeNeighbours(let payload): payload
        case .padList(let payload): payload
        case .matchRows(let payload): payload
        case .rowPlaces(let payload): payload
        case .segmentSizes(let payload): payload
        case .log(let payload): payload
        case .softmaxSimilarity(let payload): payload
        case .greedyCover(let payload): payload
        case .raterRows(let payload): payload
        case .rotaryScores(let payload): payload
        case .raterAttention(let payload): payload
        case .rankCounts(let payload): payload
        case .recycleDensity(let payload): payload
        case .recycleRows(let payload): payload
        case .recycleMerge(let payload): payload
        case .prefusionRows(let payload): payload
        case .trimRows(let payload): payload
        case .replaceRows(let payload): payload
        case .resizeGrid(let payload): payload
        case .splitRows(let payload): payload
        case .maskHeads(let payload): payload
        case .patchAttention(let payload): payload
        case .similarWindows(let payload): payload
        case .windowMeans(let payload): payload
        case .keyRows(let payload): payload
        case .postRows(let payload): payload
        case .thresholdRows(let payload): payload
        case .cacheKeep(let payload): payload
        case .release(let payload): payload
        }
    }

    public var mnemonic: String { type(of: payload).mnemonic }

    /// One entry per case: how the parser makes it.
    public static let parsers: [(mnemonic: String, make: @Sendable (inout AttributeReader) throws(TypeError) -> Op)] = [
        (Normalize.mnemonic, { reader throws(TypeError) in .normalize(try Normalize(&reader)) }),
        (ExtractPatches.mnemonic, { reader throws(TypeError) in .extractPatches(try ExtractPatches(&reader)) }),
        (GatherWindows.mnemonic, { reader throws(TypeError) in .gatherWindows(try GatherWindows(&reader)) }),
        (AverageWindows.mnemonic, { reader throws(TypeError) in .averageWindows(try AverageWindows(&reader)) }),
        (WindowAttention.mnemonic, { reader throws(TypeError) in .windowAttention(try WindowAttention(&reader)) }),
        (Concatenate.mnemonic, { reader throws(TypeError) in .concatenate(try Concatenate(&reader)) }),
        (Slice.mnemonic, { reader throws(TypeError) in .slice(try Slice(&reader)) }),
        (GatherRows.mnemonic, { reader throws(TypeError) in .gatherRows(try GatherRows(&reader)) }),
        (Reshape.mnemonic, { reader throws(TypeError) in .reshape(try Reshape(&reader)) }),
        (Transpose.mnemonic, { reader throws(TypeError) in .transpose(try Transpose(&reader)) }),
        (Embed.mnemonic, { reader throws(TypeError) in .embed(try Embed(&reader)) }),
        (Matmul.mnemonic, { reader throws(TypeError) in .matmul(try Matmul(&reader)) }),
        (Add.mnemonic, { reader throws(TypeError) in .add(try Add(&reader)) }),
        (Multiply.mnemonic, { reader throws(TypeError) in .multiply(try Multiply(&reader)) }),
        (Scale.mnemonic, { reader throws(TypeError) in .scale(try Scale(&reader)) }),
        (Power.mnemonic, { reader throws(TypeError) in .power(try Power(&reader)) }),
        (Activation.mnemonic, { reader throws(TypeError) in .activation(try Activation(&reader)) }),
        (Gate.mnemonic, { reader throws(TypeError) in .gate(try Gate(&reader)) }),
        (LayerNorm.mnemonic, { reader throws(TypeError) in .layerNorm(try LayerNorm(&reader)) }),
        (RMSNorm.mnemonic, { reader throws(TypeError) in .rmsNorm(try RMSNorm(&reader)) }),
        (Quantize.mnemonic, { reader throws(TypeError) in .quantize(try Quantize(&reader)) }),
        (Pack.mnemonic, { reader throws(TypeError) in .pack(try Pack(&reader)) }),
        (Rotary.mnemonic, { reader throws(TypeError) in .rotary(try Rotary(&reader)) }),
        (Reserve.mnemonic, { reader throws(TypeError) in .reserve(try Reserve(&reader)) }),
        (CacheStore.mnemonic, { reader throws(TypeError) in .cacheStore(try CacheStore(&reader)) }),
        (Attention.mnemonic, { reader throws(TypeError) in .attention(try Attention(&reader)) }),
        (AttentionScores.mnemonic, { reader throws(TypeError) in .attentionScores(try AttentionScores(&reader)) }),
        (KeepRows.mnemonic, { reader throws(TypeError) in .keepRows(try KeepRows(&reader)) }),
        (FindRows.mnemonic, { reader throws(TypeError) in .findRows(try FindRows(&reader)) }),
        (VisionIndices.mnemonic, { reader throws(TypeError) in .visionIndices(try VisionIndices(&reader)) }),
        (StrideRows.mnemonic, { reader throws(TypeError) in .strideRows(try StrideRows(&reader)) }),
        (StrideMeans.mnemonic, { reader throws(TypeError) in .strideMeans(try StrideMeans(&reader)) }),
        (RowAttention.mnemonic, { reader throws(TypeError) in .rowAttention(try RowAttention(&reader)) }),
        (TopRows.mnemonic, { reader throws(TypeError) in .topRows(try TopRows(&reader)) }),
        (ComplementRows.mnemonic, { reader throws(TypeError) in .complementRows(try ComplementRows(&reader)) }),
        (MeanHeads.mnemonic, { reader throws(TypeError) in .meanHeads(try MeanHeads(&reader)) }),
        (UnitRows.mnemonic, { reader throws(TypeError) in .unitRows(try UnitRows(&reader)) }),
        (ClusterRows.mnemonic, { reader throws(TypeError) in .clusterRows(try ClusterRows(&reader)) }),
        (SegmentMeans.mnemonic, { reader throws(TypeError) in .segmentMeans(try SegmentMeans(&reader)) }),
        (OutlierRows.mnemonic, { reader throws(TypeError) in .outlierRows(try OutlierRows(&reader)) }),
        (AppendSamples.mnemonic, { reader throws(TypeError) in .appendSamples(try AppendSamples(&reader)) }),
        (MergeNeighbours.mnemonic, { reader throws(TypeError) in .mergeNeighbours(try MergeNeighbours(&reader)) }),
        (PadList.mnemonic, { reader throws(TypeError) in .padList(try PadList(&reader)) }),
        (MatchRows.mnemonic, { reader throws(TypeError) in .matchRows(try MatchRows(&reader)) }),
        (RowPlaces.mnemonic, { reader throws(TypeError) in .rowPlaces(try RowPlaces(&reader)) }),
        (SegmentSizes.mnemonic, { reader throws(TypeError) in .segmentSizes(try SegmentSizes(&reader)) }),
        (Logarithm.mnemonic, { reader throws(TypeError) in .log(try Logarithm(&reader)) }),
        (SoftmaxSimilarity.mnemonic, { reader throws(TypeError) in .softmaxSimilarity(try SoftmaxSimilarity(&reader)) }),
        (GreedyCover.mnemonic, { reader throws(TypeError) in .greedyCover(try GreedyCover(&reader)) }),
        (RaterRows.mnemonic, { reader throws(TypeError) in .raterRows(try RaterRows(&reader)) }),
        (RotaryScores.mnemonic, { reader throws(TypeError) in .rotaryScores(try RotaryScores(&reader)) }),
        (RaterAttention.mnemonic, { reader throws(TypeError) in .raterAttention(try RaterAttention(&reader)) }),
        (RankCounts.mnemonic, { reader throws(TypeError) in .rankCounts(try RankCounts(&reader)) }),
        (RecycleDensity.mnemonic, { reader throws(TypeError) in .recycleDensity(try RecycleDensity(&reader)) }),
        (RecycleRows.mnemonic, { reader throws(TypeError) in .recycleRows(try RecycleRows(&reader)) }),
        (RecycleMerge.mnemonic, { reader throws(TypeError) in .recycleMerge(try RecycleMerge(&reader)) }),
        (PrefusionRows.mnemonic, { reader throws(TypeError) in .prefusionRows(try PrefusionRows(&reader)) }),
        (TrimRows.mnemonic, { reader throws(TypeError) in .trimRows(try TrimRows(&reader)) }),
        (ReplaceRows.mnemonic, { reader throws(TypeError) in .replaceRows(try ReplaceRows(&reader)) }),
        (ResizeGrid.mnemonic, { reader throws(TypeError) in .resizeGrid(try ResizeGrid(&reader)) }),
        (SplitRows.mnemonic, { reader throws(TypeError) in .splitRows(try SplitRows(&reader)) }),
        (MaskHeads.mnemonic, { reader throws(TypeError) in .maskHeads(try MaskHeads(&reader)) }),
        (PatchAttention.mnemonic, { reader throws(TypeError) in .patchAttention(try PatchAttention(&reader)) }),
        (SimilarWindows.mnemonic, { reader throws(TypeError) in .similarWindows(try SimilarWindows(&reader)) }),
        (WindowMeans.mnemonic, { reader throws(TypeError) in .windowMeans(try WindowMeans(&reader)) }),
        (KeyRows.mnemonic, { reader throws(TypeError) in .keyRows(try KeyRows(&reader)) }),
        (PostRows.mnemonic, { reader throws(TypeError) in .postRows(try PostRows(&reader)) }),
        (ThresholdRows.mnemonic, { reader throws(TypeError) in .thresholdRows(try ThresholdRows(&reader)) }),
        (CacheKeep.mnemonic, { reader throws(TypeError) in .cacheKeep(try CacheKeep(&reader)) }),
        (Release.mnemonic, { reader throws(TypeError) in .release(try Release(&reader)) }),
    ]

    public var hasEffect: Bool { payload.hasEffect }
}
