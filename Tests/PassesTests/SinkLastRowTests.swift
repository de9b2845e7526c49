import Testing

@testable import Passes

@Test func sinkLastRowCases() throws { try checkCases(Pipeline.sinkLastRow) }
