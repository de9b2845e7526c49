import Testing

@testable import Passes

@Test func orderWindowsCases() throws { try checkCases(Pipeline.orderWindows) }
