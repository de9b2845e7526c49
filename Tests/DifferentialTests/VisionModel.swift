import Reference
import TestSupport
import Testing

/// What tests of reducers before the decoder try them on.
extension RandomModel {
    /// The first of LLaVA-1.5's kind that fits.
    static func first(_ widths: Widths = Widths(), where isFit: (RandomModel) -> Bool) -> RandomModel? {
        for seed in stride(from: 4, to: 20000, by: 6) as StrideTo<UInt64> {
            let model = RandomModel(seed: seed, widths: widths)
            if isFit(model) { return model }
        }
        return nil
    }

    /// A picture for its tower, u8 [S, S, 3].
    func picture() throws -> Tensor {
        let size = try #require(configuration.vision).imageSize
        let pixels = SeededGenerator.noise("image", size * size * 3).map { UInt8(127 + 127 * $0) }
        return Tensor(shape: [size, size, 3], pixels)
    }
}
