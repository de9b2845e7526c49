import Testing

@testable import Passes

@Test func fuseGateCases() throws { try checkCases(Pipeline.fuseGate) }
