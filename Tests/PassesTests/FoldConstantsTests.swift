import Testing

@testable import Passes

@Test func foldConstantsCases() throws { try checkCases(Pipeline.foldConstants) }
