// Judges a permit without Python: judge_permit PERMIT.json ZONE.json TAG < samples
// The permit is what Permit.to_json() writes, the zone what Zone.to_json() does; samples are lines of "UTC
// seconds, value" ("nan": missing) of the column TAG. Prints the evaluation as canonical JSON.
// Exit code 0: all limits hold; 1: one was broken; 2: bad input.
#include <cstdio>
#include <exception>

#include "emisopt/base/os.hpp"
#include "emisopt/permit/evaluation.hpp"

int main(int argc, char** argv) {
  using namespace emisopt;
  if (argc != 4) {
    std::fprintf(stderr, "judge_permit: expected PERMIT.json ZONE.json TAG, got %d arguments\n", argc - 1);
    return 2;
  }
  try {
    const Permit permit = Permit::from_json(os::read_file(argv[1]));
    const Zone zone = Zone::from_json(os::read_file(argv[2]));
    std::vector<double> time, value;
    double t = 0, v = 0;
    while (std::scanf("%lf , %lf", &t, &v) == 2) {
      time.push_back(t);
      value.push_back(v);
    }
    Samples rows;
    rows.rows = static_cast<Index>(time.size());
    rows.time = time.data();
    rows.columns = {value.data()};
    const Evaluation judged = evaluate(permit, {}, {argv[3]}, zone, {}, rows);
    std::printf("%s\n", judged.to_json().c_str());
    return judged.verdict() == Verdict::broken ? 1 : 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "judge_permit: %s\n", error.what());
    return 2;
  }
}
