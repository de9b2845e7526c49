import Foundation
import IR
import IRText
import ModelImport
import Passes
import Reference
import Support
import TestSupport
import Testing

/// How far a pipeline may move a relative l2 distance. The evaluator rounds each operation's result once (2^-24), so two forms of one
/// model differ by a few roundings per operation, carried through some fifty operations and the norms between them.
private let pipelineTolerance = 2e-5

/// Random models in the test run; LMMC_DIFFERENTIAL=500 makes it a long one.
private let count = ProcessInfo.processInfo.environment["LMMC_DIFFERENTIAL"].flatMap { Int($0) } ?? 16

/// Every prefix of the pipeline, and the pipeline without each pass, give the numbers of the imported model; and every module on the way
/// prints to text that parses back to it.
@Test(arguments: 1...count) func passesKeepTheNumbers(seed: Int) throws {
    let model = RandomModel(seed: UInt64(seed))
    let imported = try importModel(model.configuration, tensors: model.tensors, context: 48)
    let expected = try run(imported, model)

    var prefix = imported
    try Pipeline.run(on: &prefix) { pass, _, module throws(Diagnostic) in
        try expectEqual(expected, try run(module, model), "seed \(seed) up to \(pass.name)")
        #expect(try parseModule(module.description, file: "printed.ir") == module, "seed \(seed) after \(pass.name)")
    }
    // The rules of the last stage hold for every model.
    prefix.stage = .optimized
    try prefix.verify(after: "the pipeline of seed \(seed)")
    var again = prefix
    try Pipeline.run(on: &again) { pass, rewrites, _ throws(Diagnostic) in
        #expect(rewrites == 0 || pass.name == "dead-code", "seed \(seed): \(pass.name) a second time")
    }
    for disabled in Pipeline.passes {
        var module = imported
        try Pipeline.run(Pipeline.passes.filter { $0.name != disabled.name }, on: &module)
        try expectEqual(expected, try run(module, model), "seed \(seed) without \(disabled.name)")
    }
}

/// The results of an image, a prompt that holds its tokens between words, and two decoded tokens.
private func run(_ module: Module, _ model: RandomModel) throws(Diagnostic) -> [[Float]] {
    var evaluator = Evaluator(module) { source throws(Diagnostic) in values(source) }
    let size = model.configuration.vision!.imageSize
    let image = Tensor(shape: [size, size, 3], SeededGenerator.noise("image", size * size * 3).map { UInt8(127 + 127 * $0) } as [UInt8])
    let taps = try evaluator.call("vision", [image])
    let projected = try evaluator.call("project", taps)[0]

    let rows = module.function(.step)!.parameters[4].type.fixedShape!
    let tokens = floats(projected)
    let vision = Tensor(shape: rows, tokens + Array(repeating: 0, count: rows[0] * rows[1] - tokens.count))
    let count = projected.shape[0]
    let prompt = [1, 5, 7] + (0..<min(count, 12)).map { Int32(-1 - $0) } + [3, 9]
    let first = try evaluator.step(StepRow.rows(prompt), visionRows: vision)
    // A second chunk, and two single tokens after it.
    let second = try evaluator.step(StepRow.rows([4, -1], at: prompt.count, wanted: .all), visionRows: vision)
    let third = try evaluator.step(StepRow.rows([6], at: prompt.count + 2), visionRows: vision)
    let fourth = try evaluator.step(StepRow.rows([8], at: prompt.count + 3), visionRows: vision)
    return [tokens, floats(first), floats(second), floats(third), floats(fourth)]
}

private func expectEqual(_ expected: [[Float]], _ found: [[Float]], _ label: String) throws(Diagnostic) {
    let names = ["projected", "prompt", "second chunk", "a token", "a second token"]
    for (name, (a, b)) in zip(names, zip(expected, found)) {
        #expect(a.count == b.count && relativeDistance(a, b) <= pipelineTolerance, "\(label): \(name)")
    }
}

/// In l2; not a number, and so never small, where all of `expected` is zero.
func relativeDistance(_ expected: [Float], _ found: [Float]) -> Double {
    let difference = zip(expected, found).reduce(0.0) { $0 + pow(Double($1.0) - Double($1.1), 2) }
    return (difference / expected.reduce(0.0) { $0 + pow(Double($1), 2) }).squareRoot()
}

private func floats(_ tensor: Tensor) -> [Float] {
    if case .float32(let values) = tensor.elements { values } else { [] }
}

/// Weights of a size that keeps activations near 1; norm scales near 1.
func values(_ source: SourceTensor) -> [Float] {
    let shape = source.type.fixedShape ?? []
    let noise = SeededGenerator.noise(source.name, shape.reduce(1, *))
    if shape.count == 1 { return source.name.contains("norm") && source.name.hasSuffix("weight") ? noise.map { 1 + 0.5 * $0 } : noise }
    let scale = 1.7 / Float(shape.dropFirst().reduce(1, *)).squareRoot()
    return noise.map { $0 * scale }
}
