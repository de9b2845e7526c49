import Foundation
import IR
import IRText
import Reference
import Support
import TestSupport
import Testing

@testable import Passes

/// The relative l2 distance that a pass may move a result by. Passes at this level only reorder sums of at most a few hundred float32
/// products (2^-24 each, in Double inside one product) and round intermediate results a different number of times.
let reorderTolerance = 1e-5

/// Runs every case of `Cases/<pass>/`: IR text and, beside it, the text expected after the pass. A case `x.unchanged.ir` must come out
/// as it is. For each: the rewrites counted agree with whether it changed, a second run fires zero times, and the Reference evaluator
/// gives the same numbers before and after. LMMC_UPDATE_CASES=1 writes missing expected texts, to be read before they are committed.
func checkCases(_ pass: Pass, tolerance: Double = reorderTolerance, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Cases/\(pass.name)")
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    let inputs = files.filter { $0.hasSuffix(".ir") && !$0.hasSuffix(".expected.ir") }
    #expect(inputs.contains { !$0.hasSuffix(".unchanged.ir") }, "no case in which '\(pass.name)' fires", sourceLocation: sourceLocation)
    #expect(
        inputs.contains { $0.hasSuffix(".unchanged.ir") }, "no case in which '\(pass.name)' must not fire", sourceLocation: sourceLocation)
    for file in inputs {
        let path = folder.appendingPathComponent(file).path
        let before = try parseModule(String(contentsOfFile: path, encoding: .utf8), file: file)
        var after = before
        let rewrites = try pass.run(&after)
        try after.verify(after: pass.name)
        if file.hasSuffix(".unchanged.ir") {
            #expect(rewrites == 0, "\(file)", sourceLocation: sourceLocation)
            #expect(after == before, "\(file)", sourceLocation: sourceLocation)
            continue
        }
        let expectedPath = path.replacingOccurrences(of: ".ir", with: ".expected.ir")
        if !FileManager.default.fileExists(atPath: expectedPath), ProcessInfo.processInfo.environment["LMMC_UPDATE_CASES"] == "1" {
            try after.description.write(toFile: expectedPath, atomically: true, encoding: .utf8)
        }
        #expect(rewrites > 0, "\(file)", sourceLocation: sourceLocation)
        #expect(after.description == (try String(contentsOfFile: expectedPath, encoding: .utf8)), "\(file)", sourceLocation: sourceLocation)
        var again = after
        #expect(try pass.run(&again) == 0, "\(file) a second time", sourceLocation: sourceLocation)
        #expect(again == after, "\(file) a second time", sourceLocation: sourceLocation)
        try expectSameNumbers(before, after, file, tolerance: tolerance, sourceLocation: sourceLocation)
    }
}

/// Evaluates every function of both modules on the same inputs; `project` gets what the module's own `vision` made, since a pass may
/// agree with itself on another order of rows between the two.
func expectSameNumbers(
    _ before: Module, _ after: Module, _ label: String, tolerance: Double = reorderTolerance,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let expected = try results(of: before)
    let found = try results(of: after)
    let joined = before.function(named: "vision") != nil && before.function(named: "project") != nil
    for (name, tensors) in expected where !(joined && name == "vision") {
        let others = found[name] ?? []
        #expect(tensors.count == others.count, "\(label): \(name)", sourceLocation: sourceLocation)
        for (a, b) in zip(tensors, others) {
            let distance = relativeDistance(floats(a), floats(b))
            #expect(distance <= tolerance, "\(label): \(name)", sourceLocation: sourceLocation)
        }
    }
}

private func results(of module: Module) throws -> [String: [Tensor]] {
    var evaluator = Evaluator(module) { source throws(Diagnostic) in
        SeededGenerator.noise(source.name, source.type.elementCount() ?? 0)
    }
    // Caches hold something from the start, so that what reads them shows: multiples of 2^-6 below 1, which bf16 holds exactly.
    for (name, type) in module.states {
        let shape = type.fixedShape!, count = shape.reduce(1, *)
        let values = SeededGenerator.noise(name, count).map { ($0 * 64).rounded() / 64 }
        switch type.dtype {
        case .float32: try evaluator.setState(name, Tensor(shape: shape, values))
        case .int32: try evaluator.setState(name, Tensor(shape: shape, [Int32](repeating: 2, count: count)))
        default: try evaluator.setState(name, Tensor(shape: shape, elements: .rounded(type.dtype, values)))
        }
    }
    var results: [String: [Tensor]] = [:]
    for function in module.functions {
        var arguments: [Tensor] = []
        for (index, parameter) in function.parameters.enumerated() {
            if function.name == "project", let taps = results["vision"], taps.count == function.parameters.count {
                arguments.append(taps[index])
                continue
            }
            let shape = parameter.type.shape.map { $0.value(callValues)! }
            let count = shape.reduce(1, *)
            let values = SeededGenerator.noise(parameter.name, count)
            switch parameter.type.dtype {
            case .uint8: arguments.append(Tensor(shape: shape, values.map { UInt8(min(255, max(0, 128 + 60 * $0))) }))
            case .int32: arguments.append(Tensor(shape: shape, indices(parameter.name, count)))
            case .float32: arguments.append(Tensor(shape: shape, values))
            case .float16, .bfloat16, .int8Rows, .int8Heads, .bfloat16Panels, .int8Panels, .int4Panels:
                arguments.append(Tensor(shape: shape, elements: .rounded(parameter.type.dtype, values)))
            }
        }
        results[function.name] = try evaluator.call(function.name, arguments)
    }
    return results
}

/// T and S of every case
private let callValues = SymbolValues(["T": 3, "S": 2])

/// Rows of two slots behind two others, of which the last and the first are wanted.
private func indices(_ parameter: String, _ count: Int) -> [Int32] {
    switch parameter {
    case "slots": (0..<count).map { Int32($0 % 2) }
    case "places": (0..<count).map { Int32(2 + $0 / 2) }
    case "wanted": (0..<count).map { Int32($0 == 0 ? 2 : $0 - 1) }
    default: (0..<count).map { Int32($0) }
    }
}

func floats(_ tensor: Tensor) -> [Float] {
    switch tensor.elements {
    case .float32(let values), .rounded(_, let values): values
    case .int32(let values): values.map { Float($0) }
    case .uint8: []
    }
}

func relativeDistance(_ a: [Float], _ b: [Float]) -> Double {
    guard a.count == b.count else { return .infinity }
    let difference = zip(a, b).reduce(0.0) { $0 + pow(Double($1.0) - Double($1.1), 2) }
    let size = a.reduce(0.0) { $0 + pow(Double($1), 2) }
    return size == 0 ? (difference == 0 ? 0 : .infinity) : (difference / size).squareRoot()
}
