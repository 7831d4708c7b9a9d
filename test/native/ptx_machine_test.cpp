// The machine that runs PTX on the host: what instructions compute, against the host's own arithmetic, and what
// the machine finds wrong, each next to what looks like it and is right.

#include <string>

#include "check.h"
#include "ptx/machine.h"

CASE("an instruction that is not known is refused with its line") {
  std::string wrong;
  CHECK(ptx::Module::parse(".version 9.0\n.target sm_80\n.address_size 64\n.entry k()\n{\n  ret;\n  foo.u32 1;\n}\n", wrong) == nullptr);
  CHECK_MESSAGE(wrong.find("line 7") != std::string::npos, wrong);
}
