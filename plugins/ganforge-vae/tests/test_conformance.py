from ganforge.testing import conformance_cases


@conformance_cases("ganforge-vae")
def test_conformance(case):
    case.run()
