import Testing

@testable import Passes

@Test func mergeMatmulsCases() throws { try checkCases(Pipeline.mergeMatmuls) }
