package emulator

import (
	"fmt"
	"strconv"
	"strings"
)

func (c *company) seedOrganisation() {
	for i, name := range companyNames {
		c.companies = append(c.companies, c.add("core_company", name, map[string]string{
			"name": name, "city": cityNames[i%len(cityNames)], "country": "Freedonia", "vendor": strconv.FormatBool(i%2 == 1),
			"num_employees": strconv.Itoa(1234 * (i + 1)), "market_cap": fmt.Sprintf("%d.%02d", 987654321+i*1111111, i),
			"website": "https://" + strings.ToLower(strings.Fields(name)[0]) + ".example",
		}))
	}
	for i, city := range cityNames {
		c.locations = append(c.locations, c.add("cmn_location", city, map[string]string{
			"name": fmt.Sprintf("%d Harbour Road, %s", 10+i*3, city), "city": city, "country": "Freedonia", "street": fmt.Sprintf("%d Harbour Road", 10+i*3),
			"latitude": fmt.Sprintf("%.6f", 60-float64(i)*7.25), "longitude": fmt.Sprintf("%.6f", float64(i)*13.5-120),
			"time_zone": "Europe/Copenhagen", "company": c.companies[i%len(c.companies)],
		}))
	}
	for i, name := range departmentNames {
		c.departments = append(c.departments, c.add("cmn_department", name, map[string]string{
			"name": name, "id": strconv.Itoa(100 + i), "company": c.companies[0],
		}))
	}
	for i, name := range groupNames {
		c.groups = append(c.groups, c.add("sys_user_group", name, map[string]string{
			"name": name, "active": strconv.FormatBool(i != len(groupNames)-1), "description": name + " of the made-up company",
		}))
	}
}

func (c *company) seedUsers() {
	const users = 150
	role := func(key, user string, roles ...string) {
		for _, name := range roles {
			c.add("sys_user_has_role", key+" "+name, map[string]string{
				"user": user, "role": c.id("sys_user_role", name), "inherited": "false", "state": "active",
			})
		}
	}
	for _, name := range roleNames {
		c.add("sys_user_role", name, map[string]string{"name": name})
	}
	c.add("sys_user", "emulator.user", map[string]string{
		"user_name": c.e.cfg.Username, "first_name": "Ines", "last_name": "Integration", "name": "Ines Integration",
		"email": "ines.integration@emulator.example", "active": "true", "vip": "false", "locked_out": "false",
		"web_service_access_only": "true", "time_zone": c.e.cfg.TimeZone, "date_format": c.e.cfg.DateFormat,
	})
	role("emulator.user", c.id("sys_user", "emulator.user"), "itil", "snc_platform_rest_api_access")
	for i := range users {
		first, last := firstNames[i%len(firstNames)], lastNames[(i*7+i/len(firstNames))%len(lastNames)]
		userName := fmt.Sprintf("%s.%s%d", strings.ToLower(first), strings.ToLower(strings.ReplaceAll(last, " ", "")), i)
		values := map[string]string{
			"user_name": userName, "first_name": first, "last_name": last, "name": first + " " + last,
			"email": fmt.Sprintf("person%d@company.example", i), "title": titles[i%len(titles)], "phone": fmt.Sprintf("+45 55 %04d", i),
			"active": strconv.FormatBool(i%15 != 14), "vip": strconv.FormatBool(i%40 == 0), "locked_out": "false", "web_service_access_only": "false",
			"department": c.departments[i%len(c.departments)], "company": c.companies[0], "location": c.locations[i%len(c.locations)],
			"employee_number": strconv.Itoa(70000 + i), "last_login_time": c.stamp(c.now - int64(i)*3601),
		}
		if i > 0 {
			values["manager"] = c.users[i/4]
		}
		c.users = append(c.users, c.add("sys_user", i, values))
		c.userNames = append(c.userNames, userName)
	}
	for i := range 7 {
		c.ghosts = append(c.ghosts, c.id("sys_user", fmt.Sprintf("gone %d", i)))
	}
}

func (c *company) seedItems() {
	for i := range 60 {
		name := fmt.Sprintf("%s-%03d", itemNames[i%len(itemNames)], i)
		c.items = append(c.items, c.add("cmdb_ci", i, map[string]string{
			"name": name, "asset_tag": fmt.Sprintf("A%06d", i*37), "serial_number": c.id("serial", i)[:12], "ip_address": fmt.Sprintf("192.0.2.%d", i),
			"operational_status": strconv.Itoa(1 + i%3), "install_date": c.stamp(c.now - int64(i)*9*day), "cost": fmt.Sprintf("%d.%02d", 1200+i*77, i),
			"location": c.locations[i%len(c.locations)], "assigned_to": c.users[i], "manufacturer": c.companies[i%len(c.companies)],
		}))
	}
	for i, name := range serviceNames {
		c.services = append(c.services, c.add("cmdb_ci_service", name, map[string]string{
			"name": name, "operational_status": "1", "busines_criticality": strconv.Itoa(1+i%4) + " - somewhat critical",
		}))
		c.offerings = append(c.offerings, c.add("service_offering", name, map[string]string{
			"name": name + " – standard", "operational_status": "1", "parent": c.services[i],
		}))
	}
	for i := range 4 {
		c.contracts = append(c.contracts, c.add("ast_contract", i, map[string]string{
			"number": fmt.Sprintf("CNTR%07d", 1+i), "short_description": "Support of " + itemNames[i], "vendor": c.companies[1+i],
			"starts": c.stamp(c.now - 900*day)[:10], "ends": c.stamp(c.now + int64(i)*100*day)[:10],
		}))
	}
}

// seedTasks makes the problems and changes that incidents point at.
func (c *company) seedTasks() {
	task := func(table, prefix string, i int, more map[string]string) string {
		opened := c.now - int64(i+1)*23*day/2
		values := map[string]string{
			"number": fmt.Sprintf("%s%07d", prefix, 1+i), "task_effective_number": fmt.Sprintf("%s%07d", prefix, 1+i),
			"short_description": subjects[(i*5)%len(subjects)] + " again and again", "description": plainParagraph(uint64(i), uint64(i)*31),
			"active": "true", "impact": "2", "urgency": "2", "priority": "3", "made_sla": "true", "knowledge": "false", "approval": "not requested",
			"opened_at": c.stamp(opened), "opened_by": c.users[i], "assigned_to": c.users[(i*3)%len(c.users)], "assignment_group": c.groups[i%len(c.groups)],
			"sys_created_on": c.stamp(opened), "sys_created_by": c.userNames[i], "sys_updated_on": c.stamp(opened + 4*day), "sys_updated_by": c.userNames[i+1],
			"upon_approval": "proceed", "upon_reject": "cancel", "escalation": "0", "reassignment_count": "1",
		}
		for field, value := range more {
			values[field] = value
		}
		return c.add(table, i, values)
	}
	for i := range 40 {
		c.problems = append(c.problems, task("problem", "PRB", i, map[string]string{
			"state": []string{"101", "102", "103", "107"}[i%4], "known_error": strconv.FormatBool(i%5 == 0), "related_incidents": strconv.Itoa(i % 9),
			"fix_notes": "<p>Replace the <b>part</b> &amp; test.</p>",
		}))
		c.changes = append(c.changes, task("change_request", "CHG", i, map[string]string{
			"state": []string{"-5", "-1", "3"}[i%3], "type": []string{"standard", "normal", "emergency"}[i%3], "risk": "3",
		}))
	}
	c.e.serial.numbers["problem"], c.e.serial.numbers["change_request"], c.e.serial.numbers["ast_contract"] = 40, 40, 4
}
