package nearest

import "testing"

func TestName(t *testing.T) {
	names := []string{"api", "database", "web", "web-admin"}
	for _, c := range []struct{ situation, wrong, want string }{
		{"swapped_letters", "wbe", "web"},
		{"missing_letter", "databse", "database"},
		{"extra_letter", "webb", "web"},
		{"wrong_letter", "apj", "api"},
		{"two_edits_of_a_long_name", "datebse", "database"},
		{"nothing_near", "queue", ""},
		{"short_names_are_not_near_to_everything", "db", ""},
		{"empty", "", ""},
		{"the_nearer_of_two", "web-admn", "web-admin"},
		{"only_the_case", "DATABASE", "database"},
		{"the_case_and_a_letter", "Databse", "database"},
	} {
		t.Run(c.situation, func(t *testing.T) {
			if got := Name(c.wrong, names); got != c.want {
				t.Errorf("Name(%q) = %q, want %q", c.wrong, got, c.want)
			}
		})
	}
}

// Candidates often come from a map: the same mistake must get the same answer.
func TestOrderOfCandidatesIsNoMatter(t *testing.T) {
	for _, names := range [][]string{{"ab", "ac", "AA"}, {"AA", "ac", "ab"}, {"ac", "AA", "ab"}} {
		if got := Name("ad", names); got != "ab" {
			t.Errorf("Name(ad) of %v is %q, want ab", names, got)
		}
		if got := Name("aa", names); got != "AA" {
			t.Errorf("Name(aa) of %v is %q, want AA", names, got)
		}
	}
}

const far = 100

func TestDistanceIsSymmetric(t *testing.T) {
	words := []string{"", "a", "ab", "ba", "web", "wbe", "database", "bulkhead"}
	for _, a := range words {
		for _, b := range words {
			if distance(a, b, far) != distance(b, a, far) {
				t.Errorf("distance(%q,%q) = %d, the other way %d", a, b, distance(a, b, far), distance(b, a, far))
			}
			if (distance(a, b, far) == 0) != (a == b) {
				t.Errorf("distance(%q,%q) = %d", a, b, distance(a, b, far))
			}
		}
	}
}

// Ending early changes nothing but what is beyond the bound.
func TestDistanceWithinABound(t *testing.T) {
	words := []string{"", "a", "ab", "ba", "web", "wbe", "bew", "database", "databaes", "adtabase", "bulkhead"}
	for _, a := range words {
		for _, b := range words {
			whole := distance(a, b, far)
			for most := range 9 {
				if got := distance(a, b, most); got != whole && (got <= most || whole <= most) {
					t.Errorf("distance(%q,%q) within %d is %d; it is %d", a, b, most, got, whole)
				}
			}
		}
	}
}
