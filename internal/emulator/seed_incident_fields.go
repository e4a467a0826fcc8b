package emulator

// every is a value that a share of the incidents has, the rest being empty: those whose row leaves rest
// when divided by n.
func every(n, rest int64, value incidentValue) incidentValue {
	return func(g *incidentSeed, buf []byte, row int64) []byte {
		if row%n != rest {
			return buf
		}
		return value(g, buf, row)
	}
}

func unless(n, rest int64, value incidentValue) incidentValue {
	return func(g *incidentSeed, buf []byte, row int64) []byte {
		if row%n == rest {
			return buf
		}
		return value(g, buf, row)
	}
}

func always(text string) incidentValue {
	return func(_ *incidentSeed, buf []byte, _ int64) []byte { return append(buf, text...) }
}

func oneOf(purpose uint64, list func(g *incidentSeed) []string) incidentValue {
	return func(g *incidentSeed, buf []byte, row int64) []byte {
		return append(buf, g.pick(row, purpose, list(g))...)
	}
}

func words(purpose uint64, list ...string) incidentValue {
	return oneOf(purpose, func(*incidentSeed) []string { return list })
}

func number(purpose, below uint64) incidentValue {
	return func(g *incidentSeed, buf []byte, row int64) []byte {
		return appendInt(buf, int64(g.hash(row, purpose)%below))
	}
}

func at(time func(g *incidentSeed, row int64) int64) incidentValue {
	return func(g *incidentSeed, buf []byte, row int64) []byte { return appendDateTime(buf, time(g, row)) }
}

func when(condition func(g *incidentSeed, row int64) bool, value incidentValue) incidentValue {
	return func(g *incidentSeed, buf []byte, row int64) []byte {
		if !condition(g, row) {
			return buf
		}
		return value(g, buf, row)
	}
}

func closed(g *incidentSeed, row int64) bool { return g.state(row) == '7' }

func onHold(g *incidentSeed, row int64) bool { return g.state(row) == '3' }

func assigned(g *incidentSeed, row int64) bool { return g.state(row) != '1' && row%9 != 0 }

func parented(g *incidentSeed, row int64) bool { return row%19 == 4 && row > 0 }

func people(g *incidentSeed) []string { return g.users }

// person is a user, now and then one that is gone.
func person(purpose uint64) incidentValue {
	return func(g *incidentSeed, buf []byte, row int64) []byte {
		if row%97 == 5 {
			return append(buf, g.pick(row, purpose, g.ghosts)...)
		}
		return append(buf, g.pick(row, purpose, g.users)...)
	}
}

// several is a list of records, now and then with an e-mail address or a record that is gone.
func several(purpose uint64, strangers bool, list func(g *incidentSeed) []string) incidentValue {
	return func(g *incidentSeed, buf []byte, row int64) []byte {
		n := 1 + g.hash(row, purpose)%4
		for i := range n {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = append(buf, g.pick(row, purpose+100*(i+1), list(g))...)
		}
		if strangers && n == 2 {
			buf = append(buf, ",on.call+night@partner.example"...)
		}
		if strangers && n == 3 {
			buf = append(append(buf, ','), g.ghosts[0]...)
		}
		return buf
	}
}

// incidentValues are the generated fields; the others are empty until something sets them.
func incidentValues() map[string]incidentValue {
	state := func(g *incidentSeed, buf []byte, row int64) []byte { return append(buf, g.state(row)) }
	duration := func(part int64) incidentValue {
		return when((*incidentSeed).isResolved, func(g *incidentSeed, buf []byte, row int64) []byte { return appendDateTime(buf, g.took(row)/part) })
	}
	seconds := func(part int64) incidentValue {
		return when((*incidentSeed).isResolved, func(g *incidentSeed, buf []byte, row int64) []byte {
			if row%211 == 5 {
				return append(buf, "9007199254740993"...) // one more than a float64 can tell apart
			}
			return appendInt(buf, g.took(row)/part)
		})
	}
	id := func(g *incidentSeed, buf []byte, row int64) []byte { return g.appendID(buf, row) }
	num := func(_ *incidentSeed, buf []byte, row int64) []byte { return appendNumber(buf, row) }
	fields := map[string]incidentValue{
		"sys_id": id, "number": num, "task_effective_number": num, "state": state, "incident_state": state,
		"sys_class_name": always("incident"), "sys_domain": always("global"), "sys_domain_path": always("/"),
		"sys_created_on": at((*incidentSeed).created), "sys_updated_on": at((*incidentSeed).updated), "opened_at": at((*incidentSeed).opened),
		"sys_created_by": oneOf(10, func(g *incidentSeed) []string { return g.userNames }),
		"sys_updated_by": oneOf(11, func(g *incidentSeed) []string { return g.userNames }),
		"sys_mod_count":  number(12, 40),
		"active": func(g *incidentSeed, buf []byte, row int64) []byte {
			return appendBool(buf, g.state(row) != '7' && g.state(row) != '8')
		},
		"impact":  func(g *incidentSeed, buf []byte, row int64) []byte { return appendInt(buf, g.impact(row)) },
		"urgency": func(g *incidentSeed, buf []byte, row int64) []byte { return appendInt(buf, g.urgency(row)) },
		"priority": func(g *incidentSeed, buf []byte, row int64) []byte {
			return appendInt(buf, g.impact(row)+g.urgency(row)-1)
		},
		"severity":   number(13, 4),
		"made_sla":   func(_ *incidentSeed, buf []byte, row int64) []byte { return appendBool(buf, row%8 != 1) },
		"knowledge":  func(_ *incidentSeed, buf []byte, row int64) []byte { return appendBool(buf, row%11 == 2) },
		"escalation": number(14, 4), "notify": always("1"), "approval": always("not requested"),
		"upon_approval": always("proceed"), "upon_reject": always("cancel"),
		"reassignment_count": number(15, 9), "reopen_count": every(14, 6, number(16, 3)), "child_incidents": number(17, 4),
		"order": every(33, 1, number(18, 100000)), "route_reason": every(27, 3, words(19, "1", "2")),

		"short_description": shortDescription, "description": description,
		"close_notes":     when((*incidentSeed).isResolved, oneOf(20, func(*incidentSeed) []string { return closeNotes[:] })),
		"close_code":      when((*incidentSeed).isResolved, words(21, "Duplicate", "Known error", "Resolved by caller", "Solution provided", "Workaround provided", "Retired code")),
		"hold_reason":     when(onHold, words(22, "1", "3", "4", "5")),
		"category":        category,
		"subcategory":     unless(3, 1, subcategory),
		"contact_type":    words(24, "phone", "email", "self-service", "walk-in", "chat", "monitoring", "virtual_agent"),
		"business_impact": every(18, 7, oneOf(25, func(*incidentSeed) []string { return sentences[:] })),
		"cause":           every(16, 9, oneOf(26, func(*incidentSeed) []string { return sentences[:] })),
		"correlation_id":  every(10, 3, correlation), "correlation_display": every(10, 3, always("Partner desk")),

		"caller_id": unless(41, 7, person(30)), "opened_by": oneOf(31, people),
		"assigned_to":      when(assigned, person(32)),
		"assignment_group": unless(13, 0, oneOf(33, func(g *incidentSeed) []string { return g.groups })),
		"closed_by":        when(closed, oneOf(34, people)), "resolved_by": when((*incidentSeed).isResolved, person(35)),
		"reopened_by":      every(14, 6, oneOf(36, people)),
		"company":          unless(4, 2, oneOf(37, func(g *incidentSeed) []string { return g.companies })),
		"location":         unless(3, 0, oneOf(38, func(g *incidentSeed) []string { return g.locations })),
		"cmdb_ci":          every(2, 1, oneOf(39, func(g *incidentSeed) []string { return g.items })),
		"business_service": every(4, 1, oneOf(40, func(g *incidentSeed) []string { return g.services })),
		"service_offering": every(6, 5, oneOf(41, func(g *incidentSeed) []string { return g.offerings })),
		"contract":         every(40, 11, oneOf(42, func(g *incidentSeed) []string { return g.contracts })),
		"problem_id":       every(17, 2, oneOf(43, func(g *incidentSeed) []string { return g.problems })),
		"parent":           every(23, 8, oneOf(44, func(g *incidentSeed) []string { return g.problems })),
		"rfc":              every(37, 6, oneOf(45, func(g *incidentSeed) []string { return g.changes })),
		"caused_by":        every(53, 9, oneOf(46, func(g *incidentSeed) []string { return g.changes })),
		"parent_incident": when(parented, func(g *incidentSeed, buf []byte, row int64) []byte {
			return g.appendID(buf, int64(g.hash(row, 47)%uint64(row)))
		}),
		"origin_table": every(61, 12, always("problem")),
		"origin_id":    every(61, 12, oneOf(48, func(g *incidentSeed) []string { return g.problems })),
		"watch_list":   every(6, 4, several(50, true, people)), "work_notes_list": every(12, 4, several(51, false, people)),
		"additional_assignee_list": every(25, 8, several(52, false, people)),
		"group_list":               every(20, 9, several(53, false, func(g *incidentSeed) []string { return g.groups })),

		"closed_at": when(closed, at((*incidentSeed).updated)), "resolved_at": when((*incidentSeed).isResolved, at((*incidentSeed).resolved)),
		"reopened_time":     every(14, 6, at((*incidentSeed).resolved)),
		"business_duration": duration(3), "calendar_duration": duration(1), "business_stc": seconds(3), "calendar_stc": seconds(1),
		"time_worked": every(3, 2, func(g *incidentSeed, buf []byte, row int64) []byte {
			return appendDateTime(buf, int64(g.hash(row, 54)%90000))
		}),
		"due_date":       every(8, 5, at(func(g *incidentSeed, row int64) int64 { return g.opened(row) + 5*day })),
		"sla_due":        every(30, 13, at(func(g *incidentSeed, row int64) int64 { return g.opened(row) + 2*day })),
		"activity_due":   every(32, 15, at(func(g *incidentSeed, row int64) int64 { return g.opened(row) + 3*day })),
		"follow_up":      every(21, 10, at(func(g *incidentSeed, row int64) int64 { return g.opened(row) + 9*day })),
		"approval_set":   every(45, 20, at((*incidentSeed).created)),
		"expected_start": every(29, 4, always("1952-03-04 10:20:30")),
		"work_start":     every(31, 2, always("1969-07-20 20:17:40")), "work_end": every(31, 2, always("1969-12-31 23:59:59")),

		"u_region": unless(5, 3, words(60, "emea", "amer", "apac", "møn", "antarctica")),
		"u_score":  every(4, 3, words(61, "4.75", "-0.5", "0", "3", "1234567.890123", "10.10", "99999999999.25")),
		"u_vendor": every(10, 9, oneOf(62, func(g *incidentSeed) []string { return g.companies })),
	}
	return fields
}

func shortDescription(g *incidentSeed, buf []byte, row int64) []byte {
	h := g.hash(row, 70)
	if row%40 == 11 {
		return append(buf, specialSubjects[h%uint64(len(specialSubjects))]...)
	}
	buf = append(buf, subjects[h%uint64(len(subjects))]...)
	buf = append(buf, ' ')
	buf = append(buf, afterthoughts[h>>8%uint64(len(afterthoughts))]...)
	return append(buf, cityNames[h>>16%uint64(len(cityNames))]...)
}

func description(g *incidentSeed, buf []byte, row int64) []byte {
	h := g.hash(row, 71)
	switch {
	case row%500 == 42:
		return append(buf, g.veryLong...)
	case row%12 == 5:
		return append(buf, g.description[uint64(g.strange)+h%uint64(len(g.description)-g.strange)]...)
	}
	buf = append(buf, g.description[h%uint64(g.strange)]...)
	buf = append(buf, " Reference "...)
	return appendInt(buf, int64(h>>40))
}

func category(g *incidentSeed, buf []byte, row int64) []byte {
	name, _ := categoryOf(g.hash(row, 23))
	return append(buf, name...)
}

func subcategory(g *incidentSeed, buf []byte, row int64) []byte {
	h := g.hash(row, 23)
	_, subs := categoryOf(h)
	return append(buf, subs[h>>20%uint64(len(subs))]...)
}

func categoryOf(h uint64) (name string, subcategories [2]string) {
	switch h % 5 {
	case 0:
		return "inquiry", [2]string{"antivirus", "internal application"}
	case 1:
		return "software", [2]string{"email", "os"}
	case 2:
		return "hardware", [2]string{"disk", "memory"}
	case 3:
		return "network", [2]string{"dns", "vpn"}
	}
	return "database", [2]string{"db2", "oracle"}
}

// correlation is another system's key, now and then with what encoded queries are made of.
func correlation(g *incidentSeed, buf []byte, row int64) []byte {
	if row%70 == 3 {
		return append(buf, `a^b=c,d@e "f" ^^ORx`...)
	}
	buf = append(buf, "EXT-"...)
	return appendInt(buf, int64(g.hash(row, 72)%1000000))
}
