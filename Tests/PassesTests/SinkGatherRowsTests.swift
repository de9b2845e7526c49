import Testing

@testable import Passes

@Test func sinkGatherRowsCases() throws { try checkCases(Pipeline.sinkGatherRows) }
