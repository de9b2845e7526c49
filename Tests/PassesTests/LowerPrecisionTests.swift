import IR
import Testing

@testable import Passes

/// What rounding moves a result of a few products in a row by, relative to it. One rounding of an element is uniform in half a step:
/// bf16 has 8 bits, a relative standard deviation of 2^-9 / sqrt 3 = 1.1e-3; int8 with blocks of 64 has steps of max / 127, and the maximum of 64
/// values is about 2.5 times their standard deviation, so 2.5 / 127 / sqrt 12 = 5.7e-3; int4 has 15 steps over about 5 standard deviations,
/// 5 / 15 / sqrt 12 = 9.6e-2. Two operands in each of at most three products in a row: sqrt 6 of these, and as much again for safety.
private let tolerances: [Precision: Double] = [.bfloat16: 5.4e-3, .int8: 2.8e-2, .int4: 0.47]

@Test(arguments: [Precision.bfloat16, .int8, .int4]) func lowerPrecisionCases(_ precision: Precision) throws {
    try checkCases(Pipeline.lower(PrecisionPolicy(precision)), tolerance: try #require(tolerances[precision]))
}

@Test func fuseQuantizeCases() throws { try checkCases(Pipeline.fuseQuantize) }

@Test func overridesFitNamesAndTheLastWins() {
    let policy = PrecisionPolicy(
        .int8,
        overrides: [
            .init(pattern: "*.mlp.*", precision: .int4), .init(pattern: "decoder.layer?.mlp.down*", precision: .bfloat16),
            .init(pattern: "exact", precision: .float32),
        ])
    let expected: [String: Precision] = [
        "decoder.layer0.mlp.up.weight": .int4, "decoder.layer0.mlp.down.weight": .bfloat16, "decoder.layer10.mlp.down.weight": .int4,
        "exact": .float32, "exactly": .int8, ".mlp.": .int4, "mlp": .int8,
    ]
    for (name, precision) in expected {
        #expect(policy.precision(of: name, role: .decoderLayer, elementCount: 4) == precision, "\(name)")
    }
}

/// By its role alone, whatever it is called.
@Test func aWeightsRoleDecides() {
    func chosen(_ base: Precision, _ role: WeightRole, elementCount: Int = 4) -> Precision {
        PrecisionPolicy(base).precision(of: "w", role: role, elementCount: elementCount)
    }
    #expect(WeightRole.allCases.map { chosen(.int4, $0) } == [.int8, .int8, .int4, .int8])
    #expect(WeightRole.allCases.map { chosen(.int8, $0) } == [.bfloat16, .bfloat16, .int8, .int8])
    #expect(chosen(.int4, .other, elementCount: 1 << 32) == .int4)
    #expect(PrecisionPolicy(.int4).embeddingPrecision(of: "decoder.embedding") == .int8)
}
