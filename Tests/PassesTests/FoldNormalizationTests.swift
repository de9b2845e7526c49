import IR
import IRText
import Reference
import Support
import TestSupport
import Testing

@testable import Passes

@Test func foldNormalizationCases() throws { try checkCases(Pipeline.foldNormalization) }

/// In float32, as the executable computes: sums of eight lanes.
private func dot(_ a: [Float], _ b: ArraySlice<Float>) -> Float {
    var lanes = [Float](repeating: 0, count: 8)
    for (index, (x, y)) in zip(a, b).enumerated() { lanes[index % 8] += x * y }
    return lanes.reduce(0, +)
}

/// The numeric effect at CLIP's sizes: folded and unfolded patch embeddings in float32, and one with the mean in the bias in place of
/// the patches, against float64. 588 products of 24 bits, summed in eight lanes: a few 2^-24 of relative error each way.
@Test func foldedNormalizationIsAsExactAsTheUnfolded() throws {
    let text = """
        module "m" stage imported {
          weight @patch : f32[64, 588] = source "patch" f32[64, 588]

          func vision(%image: u8[56, 56, 3]) {
            %pixels = normalize %image {mean = [0.48145466, 0.4578275, 0.40821073], std = [0.26862954, 0.2613026, 0.2757771]} : f32[3, 56, 56]
            %patches = extract_patches %pixels {patch = 14} : f32[16, 588]
            %embedded = matmul %patches, @patch : f32[16, 64]
            return %embedded
          }
        }
        """
    let before = try parseModule(text, file: "m.ir")
    var after = before
    #expect(try Pipeline.foldNormalization.run(&after) == 1)
    func source(_ tensor: SourceTensor) -> [Float] {
        SeededGenerator.noise(tensor.name, tensor.type.elementCount()!).map { $0 * 0.03 }
    }
    // Bright pixels, where cancellation would show.
    let pixels: [UInt8] = SeededGenerator.noise("image", 56 * 56 * 3).map { UInt8(200 + 55 * $0) }
    let image = Tensor(shape: [56, 56, 3], pixels)
    func patches(_ module: Module) throws -> (rows: [[Float]], weight: [Float]) {
        var evaluator = Evaluator(module) { tensor throws(Diagnostic) in source(tensor) }
        var rows: [[Float]] = []
        evaluator.observer = { _, name, tensor in
            guard name == "patches" else { return }
            let values = floats(tensor)
            rows = stride(from: 0, to: values.count, by: 588).map { Array(values[$0..<$0 + 588]) }
        }
        _ = try evaluator.call("vision", [image])
        let name = try #require(module.functions[0].operations.last?.operands[1].name)
        return (rows, floats(try evaluator.weight(name)))
    }
    let (unfolded, weight) = try patches(before)
    let (folded, scaled) = try patches(after)
    #expect(unfolded.count == 16 && folded.count == 16 && weight.count == scaled.count)

    let (mean, std) = ([0.48145466, 0.4578275, 0.40821073] as [Float], [0.26862954, 0.2613026, 0.2757771] as [Float])
    let center = mean.map { Float(255 * Double($0)) }
    var errors = (unfolded: 0.0, folded: 0.0, uncentred: 0.0, size: 0.0, distance: 0.0)
    for row in 0..<16 {
        for output in 0..<64 {
            let columns = output * 588..<(output + 1) * 588
            var (exact, bias) = (0.0, 0.0)
            var raw: [Float] = []
            for column in 0..<588 {
                let channel = column / 196
                let value = (folded[row][column] + center[channel]).rounded()
                raw.append(value)
                let w = Double(weight[columns.lowerBound + column])
                exact += (Double(value) / 255 - Double(mean[channel])) / Double(std[channel]) * w
                bias -= Double(mean[channel]) / Double(std[channel]) * w
            }
            let a = Double(dot(unfolded[row], weight[columns]))
            let b = Double(dot(folded[row], scaled[columns]))
            let c = Double(dot(raw, scaled[columns]) + Float(bias))
            errors.unfolded += (a - exact) * (a - exact)
            errors.folded += (b - exact) * (b - exact)
            errors.uncentred += (c - exact) * (c - exact)
            errors.distance += (a - b) * (a - b)
            errors.size += exact * exact
        }
    }
    func relative(_ squares: Double) -> Double { (squares / errors.size).squareRoot() }
    #expect(relative(errors.unfolded) < 1e-6)
    #expect(relative(errors.folded) < 1e-6)
    #expect(relative(errors.distance) < 1e-6)
    // Why the mean is not in the bias.
    #expect(errors.uncentred > 2 * errors.folded, "\(relative(errors.uncentred)) and \(relative(errors.folded))")
}
