import Foundation
import IR
import ModelImport
import Reference
import Support
import TestSupport
import Testing

@testable import Checkpoint

/// How far float32 kernels may be from the evaluator, which sums in float64 and rounds each result once: some fifty operations with sums
/// of up to some hundred float32 products each (2^-24 sqrt(100) = 6e-7 a sum) and the norms between them. The goldens, of the same depth,
/// have 2e-6.
private let compiledTolerance = 2e-5

/// Random models in the test run: one of each strategy. LMMC_COMPILED=500 makes it a long one, LMMC_COMPILED_FROM its first seed.
private let environment = ProcessInfo.processInfo.environment
private let first = environment["LMMC_COMPILED_FROM"].flatMap { Int($0) } ?? 1
private let count = environment["LMMC_COMPILED"].flatMap { Int($0) } ?? 7

/// The executable that `lmmc compile` makes of a random model computes what the Reference evaluator computes of the imported module:
/// vision tokens, logits of the prompt, and those of the tokens that it then generates.
@Test(arguments: first..<first + count) func executableAgreesWithTheReference(seed: Int) throws {
    let model = RandomModel(seed: UInt64(seed), vocabulary: RandomCheckpoint.vocabulary)
    let folder = TemporaryFolder()
    try RandomCheckpoint(model: model).write(to: folder, values: values)
    let checkpoint = try Checkpoint.open(path: folder.path)
    #expect(checkpoint.configuration.fusion == model.configuration.fusion, "seed \(seed)")
    #expect(checkpoint.configuration.decoder == model.configuration.decoder, "seed \(seed)")

    let size = model.configuration.vision!.imageSize
    let pixels: [UInt8] = SeededGenerator.noise("image \(seed)", size * size * 3).map { UInt8(127 + 127 * $0) }
    folder.write("image.png", png(width: size, height: size, pixels))
    let program = folder.file("program")
    try run([lmmcPath, "compile", folder.path, "-o", program, "--quiet", "--precision", "f32"])
    let texts = ["The picture", "is"]
    let pieces = try texts.map { try JSONDecoder().decode([Int32].self, from: run([program, "--tokenize", $0])) }
    let output = try run([
        program, "--image", folder.file("image.png"), "--raw-prompt", "\(texts[0])<image>\(texts[1])", "--max-tokens", "4", "--json",
        "--dump", folder.file("dump"),
    ])
    let answer = try JSONDecoder().decode(Answer.self, from: output)
    let projected = try floats(folder.file("dump/projected.npy"))
    let logits = try floats(folder.file("dump/logits.npy"))

    let context = 128
    var evaluator = Evaluator(try importModel(checkpoint, context: context)) { source throws(Diagnostic) in
        checkpoint.tensors.values.first { $0.sourceName == source.name }!.floats()
    }
    let taps = try evaluator.call("vision", [Tensor(shape: [size, size, 3], pixels)])
    let tokens = try evaluator.call("project", taps)[0]
    expectClose(projected, tokens.float32!, "seed \(seed), \(model.strategy): vision tokens")
    #expect(answer.visual_tokens == tokens.shape[0], "seed \(seed)")

    let rows = evaluator.module.function(.step)!.parameters[4].type.fixedShape!
    let vision = Tensor(shape: rows, tokens.float32! + Array(repeating: 0, count: rows[0] * rows[1] - tokens.float32!.count))
    let prompt = [1] + pieces[0] + (0..<tokens.shape[0]).map { Int32(-1 - $0) } + pieces[1]
    var expected = try evaluator.step(StepRow.rows(prompt), visionRows: vision).float32!
    // Each further row follows the token that the program chose, so that a near tie parts nothing.
    let vocabulary = RandomCheckpoint.vocabulary
    for (index, token) in answer.tokens.enumerated().prefix(max(0, logits.count / vocabulary - 1)) {
        expected += try evaluator.step(StepRow.rows([token], at: prompt.count + index), visionRows: vision).float32!
    }
    expectClose(logits, expected, "seed \(seed), \(model.strategy): logits")
}

private struct Answer: Decodable {
    var tokens: [Int32]
    // swift-format-ignore: AlwaysUseLowerCamelCase
    var visual_tokens: Int
}

private func expectClose(_ found: [Float], _ expected: [Float], _ label: String) {
    let distance = relativeDistance(expected, found)
    #expect(found.count == expected.count && distance <= compiledTolerance, "\(label): \(distance)")
    if environment["LMMC_COMPILED"] != nil { print("\(label): \(distance)") }
}

/// The elements of a float32 .npy file.
private func floats(_ path: String) throws -> [Float] {
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    let start = 10 + Int(bytes[8]) + Int(bytes[9]) << 8
    return bytes[start...].withUnsafeBytes { data in
        (0..<data.count / 4).map { Float(bitPattern: UInt32(littleEndian: data.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self))) }
    }
}

/// The built `lmmc` beside the test bundle, or the one that the environment names.
let lmmcPath =
    environment["LMMC"] ?? URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "lmmc").path

/// Standard output of a program that must succeed.
@discardableResult
private func run(_ command: [String]) throws -> Data {
    let process = Process()
    process.executableURL = URL(filePath: command[0])
    process.arguments = Array(command.dropFirst())
    let (output, errors) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    let message = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(command): \(message)")
    return data
}
