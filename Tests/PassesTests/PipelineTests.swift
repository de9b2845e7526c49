import Foundation
import IR
import IRText
import Support
import Testing

@testable import Passes

@Test func passNamesAreUnique() {
    #expect(Set(Pipeline.named.map(\.name)).count == Pipeline.named.count)
}

@Test func everyPassHasCases() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Cases")
    #expect(try Set(FileManager.default.contentsOfDirectory(atPath: folder.path)) == Set(Pipeline.named.map(\.name)))
}

@Test func unknownPassSuggestsTheNearest() {
    let names = Pipeline.named.map(\.name).joined(separator: ", ")
    #expect(throws: Diagnostic.usage("unknown pass 'dead-cod'; did you mean 'dead-code'?", at: .option("--passes"), expected: names)) {
        try Pipeline.pass(named: "dead-cod")
    }
}

@Test func brokenPassIsNamed() throws {
    var module = try parseModule(
        """
        module "m" stage imported {
          func f(%x: f32[2, 3]) {
            %y = scale %x {factor = 2.0} : f32[2, 3]
            return %y
          }
        }
        """, file: "m.ir")
    let broken = Pass("breaks-types", reason: "a test") { module throws(Diagnostic) in
        module.functions[0].operations[0].type = TensorType(.float32, [3, 2])
        return 1
    }
    let error = #expect(throws: Diagnostic.self) { try Pipeline.run([broken], on: &module) }
    #expect(error?.notes == ["after pass 'breaks-types'"])
    try Pipeline.run([broken], on: &module, verifyEach: false)
}
